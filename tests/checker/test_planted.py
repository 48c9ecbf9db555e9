"""What is wrong is found: each anomaly, planted into valid histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from tests.checker import History, Kind, Operation, Outcome, Partition, Poll, Send, judge
from tests.checker.model import GROUP, TRANSFORM, generate

Plant = Callable[[History, Random], bool]
"""Whether there was a place for it."""
PLANTS: dict[str, tuple[str, Plant]] = {}
ENOUGH = 8
"""Histories in which it must be found."""


def planted(name: str) -> Callable[[Plant], Plant]:
    """As the judge calls it."""

    def register(plant: Plant) -> Plant:
        PLANTS[plant.__name__] = name, plant
        return plant

    return register


def transactions(history: History, *outcomes: Outcome) -> list[Operation]:
    return [
        each
        for each in history.operations
        if each.kind is Kind.transaction and each.outcome in (outcomes or (Outcome.ok,))
    ]


def polls(history: History, *kinds: Kind, least: int = 1) -> list[Poll]:
    return [
        poll
        for operation in history.operations
        if operation.kind in kinds
        for poll in operation.polls
        if len(poll.records) >= least and poll.is_committed
    ]


def sends(history: History) -> Iterator[tuple[Operation, Send]]:
    for operation in history.operations:
        for send in operation.sends:
            yield operation, send


def is_settled(history: History, partition: Partition, value: str) -> bool:
    """It was acknowledged, and in no transaction of which nothing is known."""
    return any(
        send.acknowledged and operation.outcome is Outcome.ok
        for operation, send in sends(history)
        if (send.partition, send.value) == (partition, value)
    )


# -- values and their places


@planted("garbage")
def a_value_that_nobody_sent(history: History, random: Random) -> bool:
    poll = random.choice(polls(history, Kind.drain))
    poll.records = [*poll.records[:-1], (poll.records[-1][0], "garbage")]
    return True


@planted("inconsistent offset")
def an_offset_with_two_values(history: History, random: Random) -> bool:
    poll = random.choice(polls(history, Kind.drain, least=2))
    (one, first), (other, second), *rest = poll.records
    poll.records = [(one, second), (other, first), *rest]
    return True


@planted("duplicate")
def a_value_at_two_offsets(history: History, random: Random) -> bool:
    poll = random.choice(polls(history, Kind.drain))
    assert poll.end is not None
    poll.records = [*poll.records, (poll.end, random.choice(poll.records)[1])]
    poll.end += 1
    return True


@planted("lost write")
def a_value_that_is_never_read(history: History, random: Random) -> bool:
    some = [
        (poll.partition, value)
        for poll in polls(history, Kind.poll, Kind.transaction, least=3)
        for _, value in poll.records[1:-1]
        if is_settled(history, poll.partition, value)
    ]
    if not some:
        return False
    partition, value = random.choice(some)
    for poll in polls(history, *Kind):
        if poll.partition == partition:
            poll.records = [each for each in poll.records if each[1] != value]
    return True


@planted("unseen")
def a_value_that_is_gone_in_the_end(history: History, random: Random) -> bool:
    poll = random.choice(polls(history, Kind.drain))
    value = poll.records[-1][1]
    poll.records = poll.records[:-1]
    return is_settled(history, poll.partition, value)


@planted("unseen")
def a_value_behind_the_end(history: History, random: Random) -> bool:
    poll = random.choice(polls(history, Kind.drain))
    poll.end, value = poll.records[-1]
    poll.high_watermark = poll.end
    poll.records = poll.records[:-1]
    return is_settled(history, poll.partition, value)


@planted("hanging transaction")
def a_transaction_without_an_end(history: History, random: Random) -> bool:
    poll = random.choice(polls(history, Kind.drain))
    assert poll.high_watermark is not None
    poll.high_watermark += 1
    return True


# -- reads


@planted("aborted read")
def a_value_of_an_aborted_transaction(history: History, random: Random) -> bool:
    some = [
        send
        for operation in transactions(history, Outcome.failed)
        for send in operation.sends
        if send.offset is not None
    ]
    if not some:
        return False
    send = random.choice(some)
    for poll in polls(history, Kind.drain):
        if poll.partition == send.partition:
            poll.records = sorted([*poll.records, (send.offset or 0, send.value)])
            return True
    return False


@planted("precommitted read")
def a_value_before_its_commit(history: History, random: Random) -> bool:
    asked = {
        (s.partition, s.value): (op.asked, s.invoked) for op, s in sends(history) if op.asked is not None
    }
    some = [
        (poll, asked[poll.partition, value])
        for poll in polls(history, Kind.poll, Kind.transaction)
        for _, value in poll.records
        if (poll.partition, value) in asked
    ]
    if not some:
        return False
    poll, (until, began) = random.choice(some)
    assert until is not None
    poll.completed = (until + began) / 2
    return True


@planted("own send polled")
def a_value_of_its_own(history: History, random: Random) -> bool:
    some = [op for op in transactions(history) if op.sends and op.sends[0].offset is not None]
    if not some:
        return False
    operation = random.choice(some)
    send = operation.sends[0]
    operation.polls.append(Poll(send.partition, [(send.offset or 0, send.value)], operation.asked or 0))
    return True


@planted("skipped poll")
def a_value_that_one_leaves_out(history: History, random: Random) -> bool:
    some = [
        (poll, at)
        for poll in polls(history, Kind.poll, least=3)
        for at, (_, value) in enumerate(poll.records)
        if 0 < at < len(poll.records) - 1 and is_settled(history, poll.partition, value)
    ]
    if not some:
        return False
    poll, at = random.choice(some)
    poll.records = [*poll.records[:at], *poll.records[at + 1 :]]
    return True


@planted("skipped poll")
def a_value_between_two_polls(history: History, random: Random) -> bool:
    some = [
        (before, poll)
        for before, poll in zip(history.operations, history.operations[1:], strict=False)
        if before.kind is poll.kind is Kind.poll and before.process == poll.process != "subscribed"
    ]
    random.shuffle(some)
    for before, operation in some:
        for earlier in before.polls:
            for poll in operation.polls:
                if poll.partition == earlier.partition and poll.is_committed and len(poll.records) > 1:
                    poll.records = poll.records[1:]
                    return True
    return False


@planted("skipped poll in a transaction")
def a_value_that_a_transaction_leaves_out(history: History, random: Random) -> bool:
    some = [op for op in transactions(history, *Outcome) if op.polls and len(op.polls[0].records) >= 3]
    if not some:
        return False
    operation = random.choice(some)
    poll = operation.polls[0]
    rest = Poll(poll.partition, poll.records[2:], poll.completed, poll.end, era=poll.era)
    operation.polls.append(rest)
    poll.records, poll.end = poll.records[:1], None
    return True


@planted("nonmonotonic poll")
def a_poll_again(history: History, random: Random) -> bool:
    some = [op for op in history.operations if op.kind is Kind.poll and any(p.records for p in op.polls)]
    operation = random.choice(some)
    operation.polls.append(random.choice([poll for poll in operation.polls if poll.records]))
    return True


@planted("nonmonotonic poll")
def two_records_that_have_changed_places(history: History, random: Random) -> bool:
    some = polls(history, Kind.poll, least=2)
    if not some:
        return False
    poll = random.choice(some)
    poll.records = [poll.records[1], poll.records[0], *poll.records[2:]]
    return True


@planted("high watermark backwards")
def a_high_watermark_that_goes_back(history: History, random: Random) -> bool:
    return goes_back(history, random, "high_watermark")


@planted("last stable offset backwards")
def a_stable_offset_that_goes_back(history: History, random: Random) -> bool:
    return goes_back(history, random, "stable_offset")


def goes_back(history: History, random: Random, name: str) -> bool:
    some = [
        op for op in history.operations if op.kind is Kind.poll and any(p.high_watermark for p in op.polls)
    ]
    operation = random.choice(some)
    poll = random.choice([poll for poll in operation.polls if poll.high_watermark])
    again = Poll(poll.partition, [], poll.completed, poll.end, era=poll.era)
    again.high_watermark, again.stable_offset = poll.high_watermark, poll.stable_offset
    before = getattr(poll, name)
    setattr(again, name, before - 1)
    operation.polls.append(again)
    return bool(before)


# -- writes


@planted("nonmonotonic send")
def two_sends_that_have_changed_places(history: History, random: Random) -> bool:
    some = [
        (one, other)
        for operation in history.operations
        for one, other in zip(operation.sends, operation.sends[1:], strict=False)
        if one.offset is not None and other.offset is not None and one.partition == other.partition
    ]
    if not some:
        return False
    one, other = random.choice(some)
    one.invoked, other.invoked = other.invoked, one.invoked
    return True


@planted("zombie")
def a_zombie_whose_send_is_taken(history: History, random: Random) -> bool:
    for zombie, by in fenced(history):
        for send in zombie.sends:
            if send.invoked > (by.completed or 0.0):
                send.acknowledge(1_000_000)
                return True
    return False


@planted("zombie")
def a_zombie_that_commits(history: History, random: Random) -> bool:
    for zombie, by in fenced(history):
        if (zombie.asked or 0.0) > (by.completed or 0.0):
            zombie.outcome = Outcome.ok
            return True
    return False


def fenced(history: History) -> Iterator[tuple[Operation, Operation]]:
    """Transactions, and the later initialisation of their transactional id by another process."""
    inits = [op for op in history.operations if op.kind is Kind.init and op.outcome is Outcome.ok]
    own = {op.process: op.completed or 0.0 for op in inits}
    for operation in transactions(history, *Outcome):
        for by in inits:
            if by.transactional_id == operation.transactional_id and by.invoked > own[operation.process]:
                yield operation, by


@planted("G1c")
def transactions_that_read_each_other(history: History, random: Random) -> bool:
    some = [op for op in transactions(history) if op.sends]
    if len(some) < 5:
        return False
    circle = random.sample(some, random.randrange(2, 5))
    for reader, writer in zip(circle, [*circle[1:], circle[0]], strict=True):
        send = writer.sends[0]
        if send.offset is None:
            return False
        reader.polls.append(Poll(send.partition, [(send.offset, send.value)], 1e9))
    return True


# -- offsets, and what is made of the input


def offsets_read(history: History) -> list[tuple[Operation, int]]:
    return [
        (operation, at)
        for operation in history.operations
        if operation.kind is Kind.committed
        for at in range(len(operation.offsets))
    ]


@planted("offset commit lost")
def a_commit_that_is_forgotten(history: History, random: Random) -> bool:
    first = min(op.completed or 0 for op in transactions(history) if op.offsets)
    some = [each for each in offsets_read(history) if each[0].invoked > first + 5]
    if not some:
        return False
    operation, at = some[-1]
    operation.offsets[at] = operation.offsets[at]._replace(offset=None)
    partition = operation.offsets[at].partition
    return any(p == partition for op in transactions(history) for _, p, _ in op.offsets)


@planted("offset commit lost")
def an_older_commit(history: History, random: Random) -> bool:
    read = next(op for op in reversed(history.operations) if op.kind is Kind.committed)
    unknown = {each for op in transactions(history, Outcome.unknown) for each in op.offsets}
    done = [each for op in transactions(history) for each in op.offsets if each not in unknown]
    older = [
        each for each in done if any(now.partition == each.partition and now != each for now in read.offsets)
    ]
    if not older:
        return False
    read.offsets[:] = [older[0]]
    return True


@planted("unfounded offset")
def a_commit_of_an_aborted_transaction(history: History, random: Random) -> bool:
    good = {(p, o) for op in transactions(history, Outcome.ok, Outcome.unknown) for _, p, o in op.offsets}
    bad = [
        (op, each)
        for op in transactions(history, Outcome.failed)
        for each in op.offsets
        if (each.partition, each.offset) not in good
    ]
    if not bad:
        return False
    _, position = random.choice(bad)
    operation = next(op for op in reversed(history.operations) if op.kind is Kind.committed)
    operation.offsets[:] = [position]
    return True


def output(history: History) -> list[Poll]:
    return [poll for poll in polls(history, Kind.drain, least=2) if poll.partition.topic == "out"]


@planted("missing output")
def input_of_which_nothing_is_made(history: History, random: Random) -> bool:
    if not (some := output(history)):
        return False
    poll = random.choice(some)
    poll.records = poll.records[1:]
    return True


@planted("doubled output")
def output_that_is_made_twice(history: History, random: Random) -> bool:
    if not (some := output(history)):
        return False
    poll = random.choice(some)
    assert poll.end is not None
    again = random.choice(poll.records)[1] + "again"
    writer = history.begin(Kind.transaction, "worker 0.100")
    writer.send(poll.partition, again).acknowledge(poll.end)
    writer.end(Outcome.ok)
    poll.records = [*poll.records, (poll.end, again)]
    poll.end += 1
    return True


@planted("wrong output")
def output_of_input_that_is_not_committed(history: History, random: Random) -> bool:
    read = next(op for op in reversed(history.operations) if op.kind is Kind.committed)
    if not output(history):
        return False
    read.offsets[:] = [each._replace(offset=0) for each in read.offsets]
    assert all(each.group == GROUP for each in read.offsets)
    return True


@planted("disordered output")
def output_in_another_order(history: History, random: Random) -> bool:
    if not (some := output(history)):
        return False
    poll = random.choice(some)
    (one, first), (other, second), *rest = poll.records
    poll.records = [(one, second), (other, first), *rest]
    return True


@pytest.mark.parametrize("which", list(PLANTS))
def test_it_is_found(which: str) -> None:
    name, plant = PLANTS[which]
    found_in = 0
    for seed in range(200):
        history = generate(Random(seed), 600)
        if plant(history, Random(seed)):
            names = {each.name for each in judge(history, [TRANSFORM])}
            assert name in names, f"seed {seed}"
            found_in += 1
        if found_in == ENOUGH:
            return
    pytest.fail(f"there was a place for it in {found_in} histories only")
