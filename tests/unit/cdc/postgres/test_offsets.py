"""Going on from a place in the log, wherever it was left: each event once, and in order."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cdc.postgres.offsets import Position, Skipping, position_from
from ottla.connect.errors import ConnectError


class Transaction(NamedTuple):
    xid: int
    lsns: list[int]
    """Of its changes; several may be of one place"""
    final_lsn: int
    end_lsn: int


@st.composite
def logs(draw: st.DrawFn) -> list[Transaction]:
    """In the order of commits, whose changes may lie between one another's."""
    found = []
    final = 100
    for xid in range(1, draw(st.integers(1, 5)) + 1):
        earliest = max(1, final - draw(st.integers(0, 80)))
        count = draw(st.integers(1, 6))
        final += draw(st.integers(20, 60))
        lsns = sorted(draw(st.lists(st.integers(earliest, final - 1), min_size=count, max_size=count)))
        found.append(Transaction(xid, lsns, final, final + 5))
        final += 5
    return found


Event = tuple[int, int]


def run(
    log: list[Transaction], position: Position, flushed: int, stop_after: int
) -> tuple[list[Event], Position]:
    """What `Streaming` does with positions; the server begins with the first that is not flushed."""
    skipping = Skipping(position, flushed)
    at = replace(position, snapshot=None)
    given: list[Event] = []
    for transaction in log:
        if transaction.final_lsn < flushed:
            continue
        if not skipping.begins(transaction.final_lsn, transaction.xid):
            at.kind, at.lsn, at.events = "BEGIN", transaction.lsns[0], 0
        at.xid = transaction.xid
        for number, lsn in enumerate(transaction.lsns):
            if skipping.knows(lsn):
                continue
            at.events = at.events + 1 if at.lsn == lsn and at.kind == "INSERT" else 1
            at.lsn, at.kind, at.processed_lsn = lsn, "INSERT", lsn
            given.append((transaction.xid, number))
            if len(given) == stop_after:
                return given, at
        if not skipping.ends():
            at.lsn = at.processed_lsn = at.commit_lsn = transaction.end_lsn
            at.kind, at.events = "COMMIT", 0
    return given, at


@given(logs(), st.lists(st.integers(1, 7), max_size=8), st.booleans(), st.data())
def test_each_event_once(log: list[Transaction], stops: list[int], tells: bool, data: st.DataObject) -> None:
    everything = [(each.xid, number) for each in log for number in range(len(each.lsns))]
    position, flushed = Position(50, snapshot="INITIAL", is_last=True), 0
    given: list[Event] = []
    for stop in [*stops, 10_000]:
        more, at = run(log, position, flushed, stop)
        given += more
        position = position_from(at.offset())
        if tells and position.commit_lsn is not None:
            # Between transactions all that the server wrote is told, also what one has written that is open.
            until = next((each.final_lsn for each in log if each.final_lsn > position.commit_lsn), 10_000)
            flushed = max(flushed, data.draw(st.integers(position.commit_lsn, until)))
    assert given == everything


def test_what_is_told_while_a_transaction_is_open_does_not_bring_its_events_again() -> None:
    left = Position(lsn=20, processed_lsn=20, commit_lsn=5, xid=7, kind="INSERT", events=1)
    skipping = Skipping(left, flushed_lsn=30)
    assert skipping.begins(40, 7)
    assert [skipping.knows(lsn) for lsn in (10, 20, 25)] == [True, True, False]


def test_a_transaction_that_was_told_complete_does_not_hold_messages_back() -> None:
    left = Position(lsn=10, processed_lsn=10, commit_lsn=5, xid=7, kind="INSERT")
    assert Skipping(left).knows_alone(12), "it came before the transaction's end"
    assert not Skipping(left, flushed_lsn=30).knows_alone(31)


def test_a_truncate_of_several_tables_is_not_over_with_the_first() -> None:
    left = Position(lsn=20, processed_lsn=10, commit_lsn=5, xid=7, kind="TRUNCATE", events=1)
    skipping = Skipping(left)
    assert skipping.begins(30, 7)
    assert not skipping.knows(20)


def test_offsets_are_debeziums() -> None:
    offset = {
        "lsn_proc": 24023128, "messageType": "INSERT", "lsn_commit": 24023000, "lsn": 24023128, "txId": 555,
        "ts_usec": 1558105620000000, "transaction_id": "555", "transaction_data_collection_order_public.a": 2,
    }  # fmt: skip
    assert position_from(offset).offset() == offset
    snapshot = {
        "lsn": 5, "txId": 6, "ts_usec": 7, "snapshot": "INITIAL", "snapshot_completed": False,
        "last_snapshot_record": False,
    }  # fmt: skip
    assert position_from(snapshot).offset() == snapshot
    assert position_from(snapshot).is_snapshot_incomplete


@pytest.mark.parametrize("offset", [{}, {"lsn": "5"}, {"lsn": True}, {"lsn": 1, "lsn_commit": "x"}])
def test_what_is_no_offset(offset: dict[str, object]) -> None:
    with pytest.raises(ConnectError):
        position_from(offset)
