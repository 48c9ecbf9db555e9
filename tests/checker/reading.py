"""What must not be read, what must not be missed, and in which order it comes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from tests.checker.facts import Anomaly, Facts, Fate, anomaly
from tests.checker.history import Kind, Operation, Partition, Poll


def wrong_reads(facts: Facts) -> Iterator[Anomaly]:
    """Values that nobody sent, that were aborted or not yet committed, and one's own."""
    for operation, poll in facts.polls():
        for offset, value in poll.records:
            at = poll.partition, offset
            written = facts.written.get((poll.partition, value))
            if written is None:
                yield anomaly("garbage", f"{value!r} was never sent there", [operation], *at)
                continue
            writer, send = written
            both = [writer, operation]
            if writer is operation:
                yield anomaly("own send polled", f"{value!r} by its own transaction", [operation], *at)
            if poll.completed < send.invoked:
                yield anomaly("precommitted read", f"{value!r} before it was sent", both, *at)
            elif not poll.is_committed:
                continue
            elif facts.fate(written) is Fate.hidden:
                yield anomaly("aborted read", f"{value!r} was not to be seen", both, *at)
            elif writer.asked is not None and poll.completed < writer.asked:
                yield anomaly("precommitted read", f"{value!r} before it was to be committed", both, *at)


def wrong_positions(facts: Facts) -> Iterator[Anomaly]:
    """Polls of one process that leave something out or go back, and values that all left out."""
    lost: dict[tuple[Partition, int], None] = {}
    positions: dict[str, dict[Partition, int]] = {}
    for operation in facts.operations:
        mine = positions.setdefault(operation.process, {})
        if operation.kind is Kind.assign:
            positions[operation.process] = _assigned(mine, operation)
        elif operation.kind in {Kind.subscribe, Kind.rebalance, Kind.crash}:
            mine.clear()
            mine.update((at, offset) for at, offset in operation.positions if offset is not None)
        elif operation.kind is Kind.drain:
            for poll in operation.polls:
                yield from _unseen(facts, operation, poll)
        else:
            polled: dict[Partition, None] = {}
            for poll in operation.polls:
                start = mine.get(poll.partition)
                yield from _gone_back(operation, poll, start)
                yield from _left_out(facts, operation, poll, start, lost, poll.partition in polled)
                polled[poll.partition] = None
                if poll.next_position is not None:
                    mine[poll.partition] = poll.next_position


def _assigned(before: dict[Partition, int], operation: Operation) -> dict[Partition, int]:
    given = {at: before.get(at) if offset is None else offset for at, offset in operation.positions}
    return {at: offset for at, offset in given.items() if offset is not None}


def _gone_back(operation: Operation, poll: Poll, start: int | None) -> Iterator[Anomaly]:
    before = -1 if start is None else start - 1
    for offset, value in poll.records:
        if offset <= before:
            text = f"{value!r}, though the position was {before + 1}"
            yield anomaly("nonmonotonic poll", text, [operation], poll.partition, before, offset)
        before = offset


def _left_out(
    facts: Facts,
    operation: Operation,
    poll: Poll,
    start: int | None,
    lost: dict[tuple[Partition, int], None],
    is_inside: bool,
) -> Iterator[Anomaly]:
    contents = facts.contents[poll.partition]
    for offset in _missing(facts, poll, start):
        value = contents.places[offset].value
        writer = facts.written[poll.partition, value].operation
        if (poll.partition, value) in facts.readers:
            name = "skipped poll in a transaction" if is_inside else "skipped poll"
            yield anomaly(name, f"{value!r}", [writer, operation], poll.partition, offset)
        elif (poll.partition, offset) not in lost:
            lost[poll.partition, offset] = None
            text = f"{value!r} is never read, though what comes behind it is"
            yield anomaly("lost write", text, [writer, operation], poll.partition, offset)


def _missing(facts: Facts, poll: Poll, start: int | None) -> list[int]:
    """Offsets between a position and the next that a poll should have had, and did not."""
    end = poll.next_position
    if end is None:
        return []
    if start is None:
        start = poll.records[0][0] if poll.records else end
    contents = facts.contents[poll.partition]
    offsets = contents.visible if poll.is_committed else contents.physical
    expected = offsets[bisect_left(offsets, start) : bisect_left(offsets, end)]
    got = [offset for offset, _ in poll.records]
    if got == expected:
        return []
    # A record that was read, but is another one, is an inconsistent offset instead.
    has = set(got)
    return [each for each in expected if each not in has and contents.places[each].since <= poll.era]


def _unseen(facts: Facts, operation: Operation, poll: Poll) -> Iterator[Anomaly]:
    """Drains begin at the start."""
    contents = facts.contents[poll.partition]
    end = poll.next_position or 0
    for offset in _missing(facts, poll, 0) + contents.visible[bisect_left(contents.visible, end) :]:
        value = contents.places[offset].value
        writer = facts.written[poll.partition, value].operation
        text = f"{value!r} is not there in the end"
        yield anomaly("unseen", text, [writer, operation], poll.partition, offset)
    if poll.high_watermark is not None and end < poll.high_watermark:
        text = f"readers come to {end} of {poll.high_watermark}"
        yield anomaly("hanging transaction", text, [operation], poll.partition, end)


def unseen_without_offset(facts: Facts) -> Iterator[Anomaly]:
    """Acknowledged values of which nobody has heard where they are."""
    for (partition, value), written in facts.written.items():
        is_due = partition in facts.drained and facts.fate(written) is Fate.visible
        if is_due and value not in facts.contents[partition].offsets:
            yield anomaly("unseen", f"{value!r} is nowhere in the end", [written.operation], partition)


def watermarks_backwards(facts: Facts) -> Iterator[Anomaly]:
    """One process sees each watermark of a leader go forward alone, as long as that is up."""
    before: dict[tuple[str, Partition, int, int, str], tuple[int, Operation]] = {}
    for operation, poll in facts.polls():
        for name, mark in (
            ("high watermark", poll.high_watermark),
            ("last stable offset", poll.stable_offset),
        ):
            if mark is None:
                continue
            which = operation.process, poll.partition, poll.era, poll.leader_epoch, name
            last, by = before.get(which, (mark, operation))
            if mark < last:
                yield anomaly(
                    f"{name} backwards", f"{last}, then {mark}", [by, operation], poll.partition, last, mark
                )
            before[which] = mark, operation
