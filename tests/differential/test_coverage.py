"""That no API is forgotten."""

from __future__ import annotations

import importlib
from pathlib import Path

from .scenario import COVERED, SERVED, edges

NOT_SERVED = {"GetTelemetrySubscriptions", "PushTelemetry"}
"""By neither, where nobody takes the metrics of clients"""


def test_every_api_is_compared_at_its_lowest_middle_and_highest_version() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"{__package__}.{path.stem}")
    compared = SERVED.keys() - NOT_SERVED
    assert {name: set(edges(name)) - COVERED[name] for name in compared} == {name: set() for name in compared}
