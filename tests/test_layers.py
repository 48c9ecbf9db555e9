"""No circle of files, whether they need each other to run or only for typing.

The layers are contracts in pyproject.toml, which `lint-imports` holds.
"""

from __future__ import annotations

import graphlib

import grimp


def test_no_file_needs_itself() -> None:
    graph = grimp.build_graph("ottla")
    needed = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(needed).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None
