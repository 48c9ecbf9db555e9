"""Options of the whole test suite."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run the long form of tests that have one: hundreds of kills, ..."
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Three for two processors: a third of the time is waiting, for processes, elections and time itself."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, mine * 3 // 2)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """For what nests to the interpreter's limit. Were garbage collected there, the finalizers of whatever
    other tests left would find no stack, and fail as if this test did."""
    gc.disable()
    yield
    gc.enable()
