"""That no API is forgotten."""

from __future__ import annotations

import importlib
from pathlib import Path

from .scenario import COVERED, SERVED, edges


def test_every_api_is_compared_at_its_lowest_middle_and_highest_version() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"{__package__}.{path.stem}")
    assert {name: set(edges(name)) - COVERED[name] for name in SERVED} == {name: set() for name in SERVED}
