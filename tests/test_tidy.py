"""Size limits, so that no file or function grows into what everyone regrets."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py")) + sorted((ROOT / "bench").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

FILE_LINES = 500
FUNCTION_LINES = 70

EXCEPTIONS: frozenset[str] = frozenset()
"""`file` or `file:function` that may be larger; this list only shrinks."""

FORBIDDEN_NAMES = ("Manager", "Helper", "Utils", "Util")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_sources() -> None:
    assert len(SOURCES) > 20


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=_name)
def test_file_is_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= FILE_LINES or _name(path) in EXCEPTIONS, f"{lines} lines: split it"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_functions_are_small(path: Path) -> None:
    large = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if f"{_name(path)}:{node.name}" in EXCEPTIONS:
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            large.append(f"{node.name} has {length} lines")
    assert not large


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_names_say_what_a_thing_is(path: Path) -> None:
    classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if name.endswith(FORBIDDEN_NAMES)]
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}


def test_every_module_says_what_it_is_for() -> None:
    silent = [_name(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent
