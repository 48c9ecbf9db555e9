"""Which offsets of a source may be committed: those of batches that are over, up to the first that is not."""

from __future__ import annotations

from ottla.connect.process.submitted import Batch, Submitted, offsets_of
from ottla.connect.records import SourceRecord


def record(partition: int, offset: int) -> SourceRecord:
    return SourceRecord({"p": partition}, {"o": offset}, "t", value=offset)


def taken(submitted: Submitted) -> list[tuple[object, object]]:
    return [(each.partition["p"], each.offset["o"]) for each in submitted.take().values()]


def over(submitted: Submitted) -> list[Batch]:
    found: list[Batch] = []
    while (batch := submitted.next_over()) is not None:
        submitted.may_commit(batch)
        found.append(batch)
    return found


def test_in_the_order_of_the_batches() -> None:
    submitted = Submitted()
    first, second = (
        submitted.begin([record(0, 1), record(1, 7), record(0, 2)]),
        submitted.begin([record(0, 3)]),
    )
    for batch, count in ((first, 3), (second, 1)):
        batch.expect(count)
        batch.sent()
    second.settled(1, None)
    assert over(submitted) == []
    first.settled(2, None)
    assert over(submitted) == []
    first.settled(1, None)
    assert over(submitted) == [first, second]
    assert taken(submitted) == [(0, 3), (1, 7)]
    assert taken(submitted) == []


def test_commit_that_failed_counts_again_unless_there_is_a_later_one() -> None:
    submitted = Submitted()
    submitted.begin([record(0, 1), record(1, 1)]).sent()
    over(submitted)
    before = submitted.take()
    submitted.begin([record(0, 2)]).sent()
    over(submitted)
    submitted.give_back(before)
    assert sorted(taken(submitted)) == [(0, 2), (1, 1)]


def test_batch_that_is_forgotten_commits_nothing() -> None:
    submitted = Submitted()
    submitted.forget(submitted.begin([record(0, 1)]))
    assert over(submitted) == []
    assert taken(submitted) == []


def test_equal_partitions_are_one() -> None:
    records = [
        SourceRecord({"a": 1, "b": 2}, {"o": 1}, "t"),
        SourceRecord({"b": 2, "a": 1}, {"o": 2}, "t"),
    ]
    assert [each.offset for each in offsets_of(records).values()] == [{"o": 2}]
