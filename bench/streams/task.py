"""What one application is to do, and what came of it; some that import it have nothing else of `bench`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

WINDOW_MS = 60_000
COMMIT_MS = 1_000
LEAST_AMOUNT = 500
"""Of orders that are let through: half of them."""
USERS = 1_000
_WARM = 5
"""This part of the records is processed before anything is measured."""
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Task:
    """`job`: filter, window, join or restore, perhaps with "by functions"; `cache`: bytes, 0 for none."""

    system: str
    job: str
    address: str
    application: str
    orders: str
    users: str
    out: str
    records: int
    cache: int
    state: str
    """A folder."""

    @classmethod
    def given(cls) -> Task:
        return cls(**json.loads(sys.argv[1]))


@dataclass(frozen=True, slots=True)
class Done:
    records: int
    cpu_s: float
    elapsed_s: float


def measured(
    task: Task, processed: Callable[[], int], run: Callable[[], object], stop: Callable[[], object]
) -> None:
    """Print what it took of a processor, all threads, from a fifth of the records on until `run` has ended:
    `stop` has it commit, and tell what was held back."""
    at: dict[str, float] = {}

    def watch() -> None:
        while processed() < task.records // _WARM:
            time.sleep(_LOOK_S)
        at["cpu"], at["began"], at["before"] = time.process_time(), time.monotonic(), processed()
        while processed() < task.records:
            time.sleep(_LOOK_S)
        stop()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    run()
    watcher.join()
    records = task.records - int(at["before"])
    tell(Done(records, time.process_time() - at["cpu"], time.monotonic() - at["began"]))


def tell(done: Done) -> None:
    print(json.dumps(asdict(done)), flush=True)
