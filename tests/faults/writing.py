"""A producer that writes to all partitions of a topic, over and over, and notes what becomes of it."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from typing import NamedTuple

from .clients import Clients, eventually, insist
from .load import Load

TOPIC, PARTITIONS = "t", 12
WRITES_PER_S = 20
PATIENCE_S = 60.0


class Sent(NamedTuple):
    value: bytes
    at_s: float
    acknowledged_at_s: float


class Writing(Load):
    """A producer that writes to all partitions, over and over."""

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients, "writing")
        self.sent: dict[int, list[Sent]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self._number = 0
        self._producer = clients.producer(enable_idempotence=True, message_timeout_ms=120_000)

    def turn(self) -> None:
        for partition in range(PARTITIONS):
            self._number += 1
            value, at_s = b"%d" % self._number, time.monotonic()

            def delivered(error: object, message: object, at_s: float = at_s) -> None:
                if error is not None:
                    self.errors[str(error)] += 1
                else:
                    note = Sent(message.value(), at_s, time.monotonic())
                    self.sent[message.partition()].append(note)

            self._producer.produce(TOPIC, value, partition=partition, on_delivery=delivered)
        self._producer.poll(1 / WRITES_PER_S)

    def finish(self) -> None:
        assert self._producer.flush(PATIENCE_S) == 0

    def resumed_after_s(self, since_s: float, partitions: list[int]) -> float | None:
        """When all of these had taken something that was sent since then; None: not yet."""
        found = [
            next((each.acknowledged_at_s for each in list(self.sent[number]) if each.at_s >= since_s), None)
            for number in partitions
        ]
        return None if None in found else max(found) - since_s

    def longest_pause_s(self, since_s: float) -> float:
        """For which a partition acknowledged nothing."""
        pauses = [0.0]
        for every in self.sent.values():
            times = [each.acknowledged_at_s for each in every if each.acknowledged_at_s >= since_s]
            pauses += [later - earlier for earlier, later in itertools.pairwise(times)]
        return max(pauses)

    def assert_all_is_there(self) -> None:
        """Each once, in the order in which they were sent."""
        for partition in range(PARTITIONS):
            found = [message.value() for message in insist(self.clients.read, TOPIC, partition)]
            assert found == [each.value for each in self.sent[partition]]


def write_to(bootstrap: str) -> Writing:
    """Begin, on a new topic of three replicas."""
    clients = Clients(bootstrap)
    clients.create_topic(TOPIC, partitions=PARTITIONS, replicas=3)
    writing = Writing(clients)
    writing.start()
    eventually(lambda: writing.resumed_after_s(0, list(range(PARTITIONS))) is not None)
    return writing
