"""aiokafka, on asyncio."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.clients.task import PARTITIONS, TIMEOUT_S, Done, Growth, Meter, Task, add
from bench.load import values


async def _consumer(task: Task) -> Any:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=task.address, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(task.topic, each) for each in range(PARTITIONS)])
    return consumer


async def _lists(consumer: Any, most: int | None = None) -> AsyncIterator[list[Any]]:
    while True:
        found = await consumer.getmany(timeout_ms=int(TIMEOUT_S * 1000), max_records=most)
        for records in found.values():
            yield records


async def _consume_lists(task: Task) -> Done:
    consumer, meter, seen, size = await _consumer(task), Meter(), 0, 0
    lists = _lists(consumer)
    while seen < task.warm:
        seen += len(await anext(lists))
    meter.start()
    seen = 0
    while seen < task.records:
        records = await anext(lists)
        seen += len(records)
        for record in records:
            size += len(record.value)
    done = meter.done(seen, {"bytes": size // seen})
    await consumer.stop()
    return done


async def _consume_records(task: Task) -> Done:
    consumer, meter, seen, size = await _consumer(task), Meter(), 0, 0
    async for _ in consumer:
        seen += 1
        if seen == task.warm:
            break
    meter.start()
    seen = 0
    async for record in consumer:
        size += len(record.value)
        seen += 1
        if seen == task.records:
            break
    done = meter.done(seen, {"bytes": size // seen})
    await consumer.stop()
    return done


async def _produce(task: Task) -> Done:
    producer, meter = AIOKafkaProducer(bootstrap_servers=task.address, linger_ms=5), Meter()
    pool = values(task.record_bytes)
    await producer.start()

    async def send(count: int) -> None:
        for at in range(count):
            await producer.send(task.topic, pool[at % len(pool)])
        await producer.flush()

    await send(task.warm)
    meter.start()
    await send(task.records)
    done = meter.done(task.records, {})
    await producer.stop()
    return done


async def _sum_windows(task: Task) -> Done:
    consumer, meter, seen, sums = await _consumer(task), Meter(), 0, dict[str, int]()
    lists = _lists(consumer)
    while seen < task.warm:
        seen += len(await anext(lists))
    for each in range(PARTITIONS):
        consumer.seek(TopicPartition(task.topic, each), 0)
    lists = _lists(consumer)
    meter.start()
    seen = 0
    while seen < task.records:
        records = await anext(lists)
        seen += len(records)
        for record in records:
            event = json.loads(record.value)
            if event["kind"] == "buy":
                add(sums, event["at"], event["amount"])
    done = meter.done(seen, sums if seen == task.records else {})
    await consumer.stop()
    return done


async def _lag(task: Task) -> Done:
    growth, meter, seen, size = Growth(), Meter(), 0, 0
    consumer = await _consumer(task)
    lists = _lists(consumer, 500)
    meter.start()
    while seen < task.records:
        records = await anext(lists)
        seen += len(records)
        for record in records:
            size += len(record.value)
        await asyncio.sleep(0.05)
    done = meter.done(seen, {"bytes": size // seen}, growth.end_mb())
    await consumer.stop()
    return done


def _run(work: Callable[[Task], Coroutine[Any, Any, Done]]) -> Callable[[Task], Done]:
    return lambda task: asyncio.run(work(task))


JOBS: dict[str, Callable[[Task], Done]] = {
    "consume columns": _run(_consume_lists),
    "consume records": _run(_consume_records),
    **dict.fromkeys(("produce columns", "produce records"), _run(_produce)),
    **dict.fromkeys(("sum", "sum all", "sum inferred"), _run(_sum_windows)),
    "lag": _run(_lag),
}
