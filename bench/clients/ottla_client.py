"""`ottla.client`, through its synchronous face."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from bench.clients.events import AVRO, PROTOBUF, OneSchema
from bench.clients.task import BATCH_ROWS, PARTITIONS, TIMEOUT_S, WINDOW_MS, Done, Growth, Meter, Task
from bench.load import values
from ottla import client
from ottla.client.columns.columns import Columns, Record

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.client.values.interface import Values

_ROWS = 20_000


def _reader(connected: Any, task: Task, **more: object) -> Any:
    reader = connected.consumer(auto_offset_reset="earliest", **more)
    reader.assign([(task.topic, each) for each in range(PARTITIONS)])
    return reader


def consume_columns(task: Task) -> Done:
    meter, seen, size = Meter(), 0, 0
    with client.connect(task.address) as connected, _reader(connected, task) as reader:
        batches = reader.batches(BATCH_ROWS, timeout_s=TIMEOUT_S)
        while seen < task.warm:
            seen += len(next(batches))
        meter.start()
        seen = 0
        while seen < task.records:
            batch = next(batches)
            seen += len(batch)
            size += batch.columns.value.nbytes
        return meter.done(seen, {"bytes": size // seen})


def consume_records(task: Task) -> Done:
    meter, size = Meter(), 0
    with client.connect(task.address) as connected, _reader(connected, task) as reader:
        records = reader.records(timeout_s=TIMEOUT_S)
        for _ in islice(records, task.warm):
            pass
        meter.start()
        for record in islice(records, task.records):
            size += len(record.value)
        return meter.done(task.records, {"bytes": size // task.records})


def produce_columns(task: Task) -> Done:
    pool, meter = values(task.record_bytes), Meter()
    rows = Columns.of(Record("", 0, 0, -1, 0, None, pool[at % len(pool)]) for at in range(_ROWS))
    with client.connect(task.address) as connected, connected.producer(linger_ms=5) as producer:
        producer.write(task.topic, rows)
        meter.start()
        for _ in range(task.records // _ROWS):
            producer.write(task.topic, rows)
        producer.flush()
        return meter.done(task.records // _ROWS * _ROWS, {})


def produce_records(task: Task) -> Done:
    pool, meter = values(task.record_bytes), Meter()
    with client.connect(task.address) as connected, connected.producer(linger_ms=5) as producer:
        for at in range(task.warm):
            producer.send(task.topic, pool[at % len(pool)])
        producer.flush()
        meter.start()
        for at in range(task.records):
            producer.send(task.topic, pool[at % len(pool)])
        producer.flush()
        return meter.done(task.records, {})


def _fields(names: tuple[str, ...]) -> pa.Schema:
    import pyarrow as pa

    texts = {"user", "kind"}
    return pa.schema([(name, pa.string() if name in texts else pa.int64()) for name in names])


def _sum_windows(task: Task, value: Values) -> Done:
    """Of what is bought, by the minute."""
    import pyarrow as pa
    import pyarrow.compute as pc

    meter, seen, sums = Meter(), 0, dict[str, int]()

    def take(batch: Any) -> None:
        column = batch.to_arrow().column("value")
        kind, at, amount = (column.field(name) for name in ("kind", "at", "amount"))
        wanted = pc.equal(kind, "buy")
        window = pc.multiply(pc.divide(at.filter(wanted), WINDOW_MS), WINDOW_MS)
        table = pa.table({"window": window, "amount": amount.filter(wanted)})
        for row in table.group_by("window").aggregate([("amount", "sum")]).to_pylist():
            start = str(row["window"])
            sums[start] = sums.get(start, 0) + row["amount_sum"]

    with client.connect(task.address) as connected, _reader(connected, task, value=value) as reader:
        batches = reader.batches(BATCH_ROWS, timeout_s=TIMEOUT_S)
        while seen < task.warm:
            batch = next(batches)
            seen += len(batch)
            take(batch)
        sums.clear()
        reader.seek_to_beginning()
        meter.start()
        seen = 0
        while seen < task.records:
            batch = next(batches)
            seen += len(batch)
            take(batch)
        return meter.done(seen, sums if seen == task.records else {})


def sum_fields(task: Task) -> Done:
    return _sum_windows(task, client.json(_fields(("kind", "at", "amount"))))


def sum_all_fields(task: Task) -> Done:
    return _sum_windows(task, client.json(_fields(("id", "user", "kind", "at", "amount"))))


def sum_inferred(task: Task) -> Done:
    return _sum_windows(task, client.json())


def sum_avro(task: Task) -> Done:
    return _sum_windows(task, client.avro(OneSchema("AVRO", AVRO)))


def sum_protobuf(task: Task) -> Done:
    return _sum_windows(task, client.protobuf(OneSchema("PROTOBUF", PROTOBUF)))


def lag(task: Task) -> Done:
    meter, seen, size = Meter(), 0, 0
    with client.connect(task.address) as connected, _reader(connected, task) as reader:
        batches = reader.batches(500, timeout_s=TIMEOUT_S)
        growth = Growth()
        meter.start()
        while seen < task.records:
            batch = next(batches)
            seen += len(batch)
            size += batch.columns.value.nbytes
            time.sleep(0.05)
        return meter.done(seen, {"bytes": size // seen}, growth.end_mb())


JOBS: dict[str, Callable[[Task], Done]] = {
    "consume columns": consume_columns,
    "consume records": consume_records,
    "produce columns": produce_columns,
    "produce records": produce_records,
    "sum": sum_fields,
    "sum all": sum_all_fields,
    "sum inferred": sum_inferred,
    "sum avro": sum_avro,
    "sum protobuf": sum_protobuf,
    "lag": lag,
}
