"""`ottla transaction` over a cluster that says what the tests want."""

import json
import time
from types import SimpleNamespace

import pytest

from ottla.cli.connection import Connection
from ottla.cli.main import run
from ottla.client.admin.results import Results
from ottla.client.admin.topics import PartitionDescription, TopicDescription
from ottla.client.admin.transactions import ListedTransaction, ProducerState, TransactionDescription
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import broker_error

NOW_MS = int(time.time() * 1000)
LONG_AGO_MS = NOW_MS - 3_600_000
T0, T1, U0 = TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("u", 0)


def state(producer_id, start=7, last_ms=LONG_AGO_MS):
    return ProducerState(producer_id, 3, 11, last_ms, 5, start)


class FakeTransactions:
    def __init__(self):
        self.aborted = []
        self.asked = []
        now_ms = int(time.time() * 1000)  # the module may have been loaded long ago
        self.states = {
            T0: [state(1), state(2), state(3, start=None), state(4, last_ms=now_ms)],
            T1: [state(5, start=70)],
            U0: [state(6)],
        }
        # 1 is under way in the partition, 5 elsewhere only, 2 and 6 are not known.
        self.known = {
            "one": TransactionDescription(
                "one", "Ongoing", 1, 3, 60_000, LONG_AGO_MS, frozenset({T0, T1}), 9
            ),
            "five": TransactionDescription("five", "Empty", 5, 3, 60_000, None, frozenset(), 9),
        }

    def list(self, **filters):
        self.asked.append(filters)
        return Results(
            {9: [ListedTransaction(n, d.producer_id, d.state) for n, d in self.known.items()], 8: []}
        )

    def describe(self, ids):
        return Results({name: self.known.get(name, broker_error(105)) for name in ids})

    def describe_producers(self, partitions, *, broker=None):
        return Results({where: self.states[where] for where in partitions})

    def abort(self, transaction):
        self.aborted.append(transaction)


class FakeTopics:
    def __init__(self):
        self.partitions = {
            "t": [PartitionDescription(n, 1, 0, (n + 1,), (n + 1,), ()) for n in (0, 1)],
            "u": [PartitionDescription(0, 1, 0, (1, 2), (1, 2), ())],
        }

    def list(self, *, internal):
        return [SimpleNamespace(name=name) for name in self.partitions]

    def describe(self, names):
        return Results(
            {
                name: TopicDescription(name, None, False, tuple(self.partitions[name]))
                if name in self.partitions
                else broker_error(3)
                for name in names
            }
        )


@pytest.fixture
def transactions(monkeypatch):
    fake = FakeTransactions()
    admin = SimpleNamespace(transactions=fake, topics=FakeTopics())
    monkeypatch.setattr(Connection, "admin", admin)
    return fake


def called(capsys, *arguments):
    assert run(["transaction", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list(transactions, capsys):
    rows = called(capsys, "list", "--state", "Ongoing", "--longer-than", "1.5", "--pattern", "o.*")
    assert transactions.asked == [{"states": ("Ongoing",), "longer_than_ms": 1500, "pattern": "o.*"}]
    assert [row["transactional_id"] for row in rows] == ["five", "one"]
    assert rows[1] == {"transactional_id": "one", "coordinator": 9, "producer_id": 1, "state": "Ongoing"}


def test_describe(transactions, capsys):
    asked_s = time.time()
    rows = called(capsys, "describe", "one", "five")
    assert rows[0]["partitions"] == ["t-0", "t-1"]
    began_s = LONG_AGO_MS / 1000
    assert asked_s - began_s - 1 <= rows[0]["seconds"] <= time.time() - began_s + 1
    assert (rows[1]["start_time_ms"], rows[1]["seconds"], rows[1]["partitions"]) == (None, None, [])
    assert run(["transaction", "describe", "nope"]) == 1
    assert capsys.readouterr().err == "ottla: nope: Transactional id not found\n"


def test_what_hangs_is_what_no_coordinator_has_under_way(transactions, capsys):
    rows = called(capsys, "find-hanging")
    assert [(row["topic"], row["partition"], row["producer_id"]) for row in rows] == [
        ("t", 0, 2),
        ("t", 1, 5),
        ("u", 0, 6),
    ]
    assert (rows[1]["start_offset"], rows[1]["producer_epoch"], rows[1]["coordinator_epoch"]) == (70, 3, 5)
    assert transactions.asked == [{"producer_ids": {1, 2, 5, 6}}]


@pytest.mark.parametrize(
    ("options", "producers"),
    [
        (["--topic", "t"], [2, 5]),
        (["--topic", "t:1", "--topic", "u"], [5, 6]),
        (["--broker", "2"], [5, 6]),
        (["--max-timeout", "86400"], []),
    ],
)
def test_where_to_look(transactions, capsys, options, producers):
    assert [row["producer_id"] for row in called(capsys, "find-hanging", *options)] == producers


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["find-hanging", "--topic", "x"], "ottla: x: Unknown topic or partition\n"),
        (["find-hanging", "--topic", "t:2"], "ottla: t has no partition 2, it has 2\n"),
        (["abort", "t", "2", "--start-offset", "0"], "ottla: t has no partition 2, it has 2\n"),
        (["abort", "t", "0", "--start-offset", "8"], "ottla: t-0 has no open transaction at offset 8\n"),
        (["abort", "t", "0", "--producer-id", "3"], "ottla: t-0 has no open transaction of producer 3\n"),
    ],
)
def test_what_is_not_there(transactions, capsys, arguments, told):
    assert run(["transaction", *arguments]) == 1
    assert capsys.readouterr().err == told
    assert transactions.aborted == []


@pytest.mark.parametrize("option", [["--start-offset", "70"], ["--producer-id", "5"]])
def test_abort(transactions, option):
    assert run(["transaction", "abort", "t", "1", *option]) == 0
    (aborted,) = transactions.aborted
    assert (aborted.partition, aborted.producer_id, aborted.producer_epoch, aborted.coordinator_epoch) == (
        T1,
        5,
        3,
        5,
    )
