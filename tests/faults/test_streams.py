"""Streams applications whose instances and broker are killed: the output is that of a batch computation."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ottla import client
from ottla.client.admin.records import OffsetSpec
from ottla.client.admin.topics import NewTopic
from ottla.client.core.metadata import TopicPartition
from ottla.client.sync.client import Client
from ottla.streams.runtime.streams import Streams

from .broker_process import BrokerProcess
from .clients import eventually
from .streams_application import WINDOW_MS, application

PROGRAM = Path(__file__).parent / "streams_application.py"
SETTINGS = {"group.min.session.timeout.ms": "1000", "transaction.state.log.num.partitions": "1"}
ROUNDS = 4
ROUNDS_FULL = 100
FAULTS = ("kill", "freeze", "kill both", "stop", "kill the broker")
TASKS = 12
LINES = 1_000
ORDERS = 200
WORDS = [f"w{number}" for number in range(100)]
USERS = [f"u{number}" for number in range(20)]
Pairs = list[tuple[str, Any]]


class Instance:
    """One process of the application."""

    def __init__(self, servers: str, folder: Path, guarantee: str) -> None:
        self.folder = folder
        self._command = [sys.executable, str(PROGRAM), servers, str(folder), guarantee]
        self.start()

    def start(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "started\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        self._process.communicate(timeout=60)

    def freeze(self, seconds: float) -> None:
        """Long enough for the group to go on without it: then it wakes, and does not know."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)


def pairs(c: Client, topic: str, *, is_number: bool) -> Pairs:
    table = c.read(topic, isolation="read_committed")
    values = table["value"].to_pylist()
    return [
        (key.decode(), int.from_bytes(value) if is_number else value.decode())
        for key, value in zip(table["key"].to_pylist(), values, strict=True)
    ]


def batch(c: Client, started_ms: int) -> dict[str, Counter[tuple[str, Any]]]:
    """What each output has to have, computed from what is in the inputs."""
    counts: Counter[str] = Counter()
    totals: defaultdict[str, int] = defaultdict(int)
    expected: dict[str, Counter[tuple[str, Any]]] = {
        each: Counter() for each in ("counts", "totals", "joined")
    }
    for _, line in pairs(c, "lines", is_number=False):
        for word in line.split():
            counts[word] += 1
            expected["counts"][word, counts[word]] += 1
    users = dict(pairs(c, "users", is_number=False))
    orders = c.read("orders")
    rows = zip(*(orders[name].to_pylist() for name in ("key", "value", "timestamp")), strict=True)
    for key, value, at in rows:
        user, amount = key.decode(), int.from_bytes(value)
        at_ms = int(at.timestamp() * 1000)
        assert at_ms >= started_ms
        window = f"{user}@{at_ms - at_ms % WINDOW_MS}"
        totals[window] += amount
        expected["totals"][window, totals[window]] += 1
        expected["joined"][user, f"{amount}:{users[user]}"] += 1
    return expected


def outputs(c: Client) -> dict[str, Counter[tuple[str, Any]]]:
    return {
        name: Counter(pairs(c, name, is_number=name != "joined")) for name in ("counts", "totals", "joined")
    }


def dump(app: Streams) -> dict[str, list[Any]]:
    """What the one instance there is has in its stores."""
    windows = [(str(key), value) for key, value in app.store("totals").fetch_all(0, 1 << 62)]
    return {
        "counts": sorted(app.store("counts").all()),
        "users": sorted(app.store("users").all()),
        "totals": sorted(windows),
    }


def state_of(servers: str, folder: Path, guarantee: str) -> dict[str, list[Any]]:
    """Once its threads have shared the tasks out among them."""
    with application(servers, str(folder), guarantee) as app:
        eventually(lambda: {each["active_tasks"] for each in app.metrics().values()} == {TASKS / 2}, 60)
        app.wait_until_running()
        return dump(app)


class Feed:
    """Writes the inputs. Every order has an amount of its own, by which it can be told from others."""

    def __init__(self, c: Client, chance: random.Random) -> None:
        self.started_ms = int(time.time() * 1000)
        self._producer = c.producer()
        self._chance = chance
        self._amount = 0
        for user in USERS:
            self._producer.send(
                "users", f"name of {user}".encode(), key=user.encode(), timestamp=self.started_ms
            )
        self._producer.flush()

    def write(self) -> None:
        now_ms = int(time.time() * 1000)
        for number in range(LINES):
            words = " ".join(self._chance.choices(WORDS, k=3))
            self._producer.send("lines", words.encode(), key=b"%d" % number)
        for _ in range(ORDERS):
            self._amount += 1
            self._producer.send(
                "orders",
                self._amount.to_bytes(8),
                key=self._chance.choice(USERS).encode(),
                timestamp=now_ms + self._chance.randrange(20_000),
            )
        self._producer.flush()

    def close(self) -> None:
        self._producer.close()


def disturb(what: str, broker: BrokerProcess, victim: Instance) -> None:
    match what:
        case "kill":
            victim.kill()
            victim.start()
        case "freeze":
            victim.freeze(2.5)
        case "kill both":
            victim.kill()
            broker.kill_and_start()
            victim.start()
        case "stop":
            victim.stop()
            victim.start()
        case "kill the broker":
            broker.kill_and_start()


@pytest.mark.timeout(2_400)
@pytest.mark.parametrize("guarantee", ["exactly_once_v2", "at_least_once"])
def test_the_output_is_that_of_a_batch_computation(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, request: pytest.FixtureRequest, guarantee: str
) -> None:
    rounds = ROUNDS_FULL if request.config.getoption("--full") else ROUNDS
    is_exact = guarantee == "exactly_once_v2"
    # At least once, an instance that was given up and does not know may write old state over new.
    faults = [each for each in FAULTS if is_exact or each != "freeze"]
    chance = random.Random(7)
    broker = start_broker(SETTINGS)
    with client.connect(broker.bootstrap) as c:
        topics = {"lines": 4, "orders": 4, "users": 4, "counts": 2, "totals": 2, "joined": 2}
        c.admin.topics.create([NewTopic(name, count, 1) for name, count in topics.items()]).check()
        feed = Feed(c, chance)
        instances = [Instance(broker.bootstrap, tmp_path / str(n), guarantee) for n in range(2)]
        seen = 0
        try:
            for number in range(rounds):
                feed.write()
                # Disturbed at work: those that are left must have gone on after the last time.
                seen = eventually(lambda: more_than(seen, c), 90)  # noqa: B023
                time.sleep(chance.uniform(0, 0.5))
                disturb(faults[number % len(faults)], broker, chance.choice(instances))
            expected = batch(c, feed.started_ms)
            eventually(lambda: is_all_there(outputs(c), expected), 120)
        finally:
            feed.close()
            for instance in instances:
                instance.stop()
        if is_exact:
            assert outputs(c) == expected  # each update once
            kept = [state_of(broker.bootstrap, instance.folder, guarantee) for instance in instances]
            restored = state_of(broker.bootstrap, tmp_path / "empty", guarantee)
            assert kept == [restored, restored]
            assert {word: each.value for word, each in restored["counts"]} == highest(expected["counts"])
            assert outputs(c) == expected


def more_than(seen: int, c: Client) -> int | None:
    """How far the counts are now; None while there are no more."""
    wanted = {TopicPartition("counts", number): OffsetSpec.LATEST for number in range(2)}
    ends = c.admin.records.list_offsets(wanted, read_committed=True)
    if ends.errors:  # the broker is not up yet
        return None
    return found if (found := sum(end.offset for end in ends.values())) > seen else None


def is_all_there(
    found: dict[str, Counter[tuple[str, Any]]], expected: dict[str, Counter[tuple[str, Any]]]
) -> bool:
    """At least: of counts and totals the highest of each key."""
    return expected["joined"] <= found["joined"] and all(
        highest(found[name]).get(key, 0) >= least
        for name in ("counts", "totals")
        for key, least in highest(expected[name]).items()
    )


def highest(pairs: Counter[tuple[str, Any]]) -> dict[str, int]:
    return dict(sorted(pairs))
