"""A cluster while all goes wrong that can: nothing acknowledged is lost, and each input makes one output."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from .clients import Clients
from .copying import SETTINGS, Copying
from .faulty_cluster import can_set_time, faults, run_faulty_cluster

SHORT_FAULTS = 9
FULL_S, RUN_S = 7200.0, 600.0
END_S = 120.0


def test_the_time_of_day_can_be_set() -> None:
    if not can_set_time():
        pytest.skip("the time of day never jumps in these tests: Debian's libfaketime is not installed")


@pytest.mark.timeout(3 * FULL_S)
def test_nothing_is_lost_or_doubled(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    is_full = pytestconfig.getoption("--full")
    end = time.monotonic() + (FULL_S if is_full else 0)
    total: Counter[str] = Counter()
    while True:
        total += run(seed, tmp_path / str(seed), RUN_S if is_full else None)
        if time.monotonic() >= end:
            break
        seed += 1
    print(f"cluster faults: {dict(total)}")


def run(seed: int, folder: Path, seconds: float | None) -> Counter[str]:
    """Faults one after another for a while, or a few in the short form; how many there were of which."""
    folder.mkdir()
    chosen = random.Random(seed)
    done: Counter[str] = Counter()
    with run_faulty_cluster(folder, SETTINGS, has_own_times=True) as cluster:
        (folder / "copies").mkdir()
        kinds = faults(cluster, chosen)
        plan = list(kinds)
        chosen.shuffle(plan)
        copying = Copying(Clients(cluster.bootstrap), cluster.bootstrap, folder / "copies", replicas=3)
        end = time.monotonic() + (seconds or 0)
        try:
            while len(plan) > len(kinds) - SHORT_FAULTS if seconds is None else time.monotonic() < end:
                if not plan:
                    plan = [*kinds, "copier"]
                    chosen.shuffle(plan)
                kind = plan.pop()
                if kind == "copier":
                    kind = copying.disturb(chosen)
                else:
                    kinds[kind]()
                done[kind] += 1
                cluster.recover()
                copying.keep_alive()
                time.sleep(chosen.uniform(0, 0.5 if seconds is None else 4))
            operations = copying.finish(END_S)
        finally:
            copying.end()
        print(f"seed {seed}: {dict(done)}, {copying.lives()}, {dict(operations)}", flush=True)
        assert operations["transaction", "ok"] > len(done)
        logs = cluster.all_logs()
        assert "Traceback" not in logs, (seed, folder)
    return done
