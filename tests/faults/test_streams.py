"""Streams applications whose instances are killed: the output is what a batch computation gives."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.sync.client import Client
from ottla.testing import run_broker

from .clients import eventually

HERE = Path(__file__).parent
LINES = 6_000
VOCABULARY = 100
ROUNDS = 4


@pytest.fixture
def broker() -> Iterator[str]:
    settings = {"group.min.session.timeout.ms": 1_000, "transaction.state.log.num.partitions": 1}
    with run_broker(settings) as running:
        yield running.bootstrap_servers


def started(servers: str, state_dir: Path, guarantee: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "streams_application.py"), servers, str(state_dir), guarantee],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def counts(c: Client) -> tuple[dict[str, int], list[tuple[str, int]]]:
    """The last count of each word, and all of them."""
    table = c.read("counts", isolation="read_committed")
    pairs = [
        (key.decode(), int.from_bytes(value))
        for key, value in zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True)
    ]
    return dict(pairs), pairs


def is_all_there(last: dict[str, int], expected: Counter[str]) -> bool:
    return all(last.get(word, 0) >= total for word, total in expected.items())


def more_than(seen: int, c: Client) -> int | None:
    """How many there are now; None while there are no more."""
    return found if (found := len(counts(c)[1])) > seen else None


@pytest.mark.timeout(240)
@pytest.mark.parametrize("guarantee", ["exactly_once_v2", "at_least_once"])
def test_instances_are_killed(broker: str, tmp_path: Path, guarantee: str) -> None:
    chance = random.Random(7)
    expected: Counter[str] = Counter()
    with client.connect(broker) as c:
        c.admin.topics.create([NewTopic("lines", 4, 1), NewTopic("counts", 2, 1)]).check()
        processes = [started(broker, tmp_path / str(n), guarantee) for n in range(2)]
        try:
            with c.producer() as producer:
                seen = 0
                for number in range(ROUNDS):
                    for line in range(LINES // ROUNDS):
                        words = [f"w{chance.randrange(VOCABULARY)}" for _ in range(3)]
                        expected.update(words)
                        producer.send("lines", " ".join(words).encode(), key=b"%d" % line)
                    producer.flush()
                    # Killed at work: those that are left must have gone on after the last kill.
                    seen = eventually(lambda: more_than(seen, c), 60)  # noqa: B023
                    time.sleep(chance.uniform(0, 0.5))
                    victim = number % 2
                    processes[victim].kill()
                    processes[victim].communicate()
                    processes[victim] = started(broker, tmp_path / str(victim), guarantee)
            eventually(lambda: is_all_there(counts(c)[0], expected), 90)
        finally:
            for process in processes:
                process.communicate(timeout=60)
        last, every = counts(c)
    if guarantee == "exactly_once_v2":
        assert last == dict(expected)
        assert len(every) == sum(expected.values())  # each word was counted once, and told once
        assert set(every) == {(word, n) for word, total in expected.items() for n in range(1, total + 1)}
    else:
        assert last.keys() == expected.keys()
        assert all(last[word] >= total for word, total in expected.items())
