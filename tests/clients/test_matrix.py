"""What one library writes and commits in a transaction, another takes up: each beside Ottla's client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from tests.faults import copier
from tests.faults.copier import LIBRARIES, Copier

from .conftest import ConfluentClients, eventually

PAIRS = [(first, second) for first in LIBRARIES for second in LIBRARIES if "ottla" in (first, second)]

# kafka-python reads its version with what Python 3.11 calls deprecated, and leaves sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def make(
    broker: Any,
    make_topic: Callable[..., str],
    new_name: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Copier]]:
    """Copiers of topics and a group that are this test's own."""
    monkeypatch.setattr(copier, "INPUT", make_topic(1))
    monkeypatch.setattr(copier, "OUTPUT", make_topic(1))
    monkeypatch.setattr(copier, "GROUP", new_name("copiers"))
    transactional_id = new_name("matrix")
    made: list[Copier] = []

    def start(library: str) -> Copier:
        made.append(LIBRARIES[library](broker.bootstrap, transactional_id, 0))
        made[-1].initialise()
        return made[-1]

    yield start
    for each in made:
        each.close()


def take(reader: Copier, count: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += reader.poll()
    return found


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda name: name)
def test_a_successor_goes_on_where_the_transactions_of_another_library_ended(
    make: Callable[..., Copier], confluent: ConfluentClients, first: str, second: str
) -> None:
    def feed(*values: str) -> None:
        records = [{"value": value.encode()} for value in values]
        confluent.produce(confluent.producer(), copier.INPUT, records)

    feed("0", "1", "2")
    former = make(first)
    assert former.committed() is None
    former.seek(0)
    read = take(former, 3)
    assert read == [(0, "0"), (1, "1"), (2, "2")]
    former.begin()
    former.send([f"{value}!" for _, value in read])
    former.send_offset(3)
    former.commit()
    former.begin()
    former.send(["aborted"])
    former.abort()
    former.begin()
    former.send(["left open"])

    feed("3", "4", "5")
    successor = make(second)  # which fences the former, and has aborted what it left
    assert eventually(successor.committed) == 3
    successor.seek(3)
    read = take(successor, 3)
    assert read == [(3, "3"), (4, "4"), (5, "5")]
    successor.begin()
    successor.send([f"{value}!" for _, value in read])
    successor.send_offset(6)
    successor.commit()
    with pytest.raises(Exception):  # noqa: B017 - each library has its own
        former.commit()
    assert eventually(successor.committed) == 6
    reader = confluent.consumer(isolation_level="read_committed", auto_offset_reset="earliest")
    reader.assign([TopicPartition(copier.OUTPUT, 0, 0)])
    assert [each.value().decode() for each in confluent.read(reader, 6)] == [f"{n}!" for n in range(6)]
