"""Which record comes next, and when a task waits for one."""

from __future__ import annotations

from ottla.client.columns.columns import Columns, Record
from ottla.streams.task.input import HeadRecord, PartitionGroup, RawRecord, RecordQueue

ONE, TWO, THREE = ("t", 0), ("u", 0), ("v", 0)


def queue(partition) -> RecordQueue:
    def read(raw: RawRecord, partition_time: int) -> HeadRecord | None:
        return None if raw.value is None else HeadRecord(raw, raw.key, raw.value, raw.timestamp)

    return RecordQueue(partition, read)


def record(partition, offset: int, timestamp: int, value: bytes | None = b"") -> RawRecord:
    return RawRecord(*partition, offset, timestamp, None, value)


def group(*partitions, max_idle_ms: int = 0) -> PartitionGroup:
    return PartitionGroup(map(queue, partitions), max_idle_ms)


def taken(of: PartitionGroup) -> list[tuple[str, int]]:
    found = []
    while len(of):
        head = of.pop()
        found.append((head.raw.topic, head.timestamp))
    return found


def test_the_lowest_time_comes_first() -> None:
    inputs = group(ONE, TWO)
    inputs.add(ONE, [record(ONE, 0, 5), record(ONE, 1, 1)])
    inputs.add(TWO, [record(TWO, 0, 4), record(TWO, 1, 9)])
    assert taken(inputs) == [("u", 4), ("t", 5), ("t", 1), ("u", 9)]
    assert inputs.stream_time == 9


def test_of_equal_times_the_order_is_java_s() -> None:
    inputs = group(ONE, TWO, THREE)
    for partition in (ONE, TWO, THREE):
        inputs.add(partition, [record(partition, 0, 1)])
    assert [topic for topic, _ in taken(inputs)] == ["t", "v", "u"]


def test_what_is_dropped_is_not_waited_for() -> None:
    inputs = group(ONE)
    inputs.add(ONE, [record(ONE, 0, 1, None), record(ONE, 1, 2, None)])
    assert len(inputs) == 0
    assert inputs.queues[ONE].skipped_to == 2
    inputs.add(ONE, [record(ONE, 2, 3)])
    assert taken(inputs) == [("t", 3)]


def test_an_empty_partition_is_waited_for_until_its_lag_is_known() -> None:
    inputs = group(ONE, TWO)
    inputs.add(ONE, [record(ONE, 0, 5)])
    assert not inputs.is_ready(0)
    inputs.lags[TWO] = 3
    assert not inputs.is_ready(0)
    inputs.lags[TWO] = 0
    assert inputs.is_ready(0)


def test_and_for_a_time_after_that() -> None:
    inputs = group(ONE, TWO, max_idle_ms=100)
    inputs.lags[TWO] = 0
    inputs.add(ONE, [record(ONE, 0, 5)])
    assert not inputs.is_ready(1000)
    assert not inputs.is_ready(1099)
    assert inputs.is_ready(1100)
    inputs.add(TWO, [record(TWO, 0, 1)])
    assert inputs.is_ready(1100)
    assert inputs.pop().raw.topic == "u"
    assert not inputs.is_ready(1200)  # its time begins anew


def test_or_not_at_all() -> None:
    inputs = group(ONE, TWO, max_idle_ms=-1)
    assert not inputs.is_ready(0)
    inputs.add(ONE, [record(ONE, 0, 5)])
    assert inputs.is_ready(0)


def test_times_go_on_from_a_commit() -> None:
    inputs = group(ONE)
    inputs.set_partition_time(ONE, 50)
    inputs.add(ONE, [record(ONE, 0, 5)])
    inputs.pop()
    assert (inputs.stream_time, inputs.queues[ONE].partition_time) == (50, 50)


def test_what_was_dropped_before_a_run_lies_behind_it() -> None:
    inputs = group(ONE)
    inputs.add(ONE, [record(ONE, 0, 1, None)])
    inputs.add_columns(ONE, Columns.of([Record("t", 0, 1, 2, 0, None, b"", ())]))
    assert inputs.queues[ONE].skipped_to == 1
    run = inputs.begin_run(10)
    assert run is not None
    inputs.end_run(*run, is_done=True)
    assert inputs.queues[ONE].skipped_to is None
