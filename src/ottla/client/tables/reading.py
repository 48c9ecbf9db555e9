"""Topics as tables: a part of one, a stream of batches, or the latest value of each key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable
from typing import TYPE_CHECKING

from ottla.client.columns.columns import Columns
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import missing_extra
from ottla.client.net.cluster import Cluster
from ottla.client.tables.progress import reporter
from ottla.client.tables.ranges import Bound
from ottla.client.tables.scan import Report, Scan, resolve, settings_for

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.client.tables.rows import ArrowRows, DeadLetters
    from ottla.client.values.interface import Values

Key = bytes | str


async def read_columns(
    cluster: Cluster,
    topic: str,
    *,
    start: Bound = None,
    end: Bound = None,
    partitions: Iterable[int] | None = None,
    isolation: str = "read_uncommitted",
    report: Report | bool | None = None,
) -> Columns:
    """The rows by partition and offset, as columns: needs no pyarrow."""
    parts: dict[TopicPartition, list[Columns]] = {}
    async with await _scan(cluster, topic, start, end, partitions, isolation, report) as scan:
        async for partition, rows in scan:
            parts.setdefault(partition, []).append(rows)
    in_order = [rows for partition in sorted(parts) for rows in parts[partition]]
    return Columns.concat(in_order) if in_order else Columns.of(())


async def read(
    cluster: Cluster,
    topic: str,
    *,
    start: Bound = None,
    end: Bound = None,
    partitions: Iterable[int] | None = None,
    keys: Collection[Key] | None = None,
    key: Values | None = None,
    value: Values | None = None,
    isolation: str = "read_uncommitted",
    report: Report | bool | None = None,
    dead_letters: DeadLetters | None = None,
) -> pa.Table:
    """The rows by partition and offset. `keys` has only records of these read out (texts as UTF-8).

    The end is fixed at the beginning, so a read of a topic that is being written to ends. `report` is told
    how far it is; True has that shown on stderr, as None does on a terminal for a read that takes long.
    """
    to_arrow = arrow_rows(key, value, dead_letters)
    parts: dict[TopicPartition, list[pa.RecordBatch]] = {}
    async with await _scan(cluster, topic, start, end, partitions, isolation, report) as scan:
        async for partition, rows in scan:
            await _prepare(to_arrow, rows)
            parts.setdefault(partition, []).append(_selected(to_arrow, topic, rows, keys))
    in_order = [batch for partition in sorted(parts) for batch in parts[partition]]
    return _table(to_arrow, topic, in_order)


async def stream(
    cluster: Cluster,
    topic: str,
    *,
    start: Bound = None,
    end: Bound = None,
    partitions: Iterable[int] | None = None,
    key: Values | None = None,
    value: Values | None = None,
    isolation: str = "read_uncommitted",
    report: Report | bool | None = None,
    dead_letters: DeadLetters | None = None,
) -> AsyncGenerator[pa.RecordBatch]:
    """As `read`, batch by batch as they come, for what memory does not hold: each of one partition."""
    to_arrow = arrow_rows(key, value, dead_letters)
    async with await _scan(cluster, topic, start, end, partitions, isolation, report) as scan:
        async for _, rows in scan:
            await _prepare(to_arrow, rows)
            yield to_arrow(topic, rows)


async def latest(
    cluster: Cluster,
    topic: str,
    *,
    partitions: Iterable[int] | None = None,
    key: Values | None = None,
    value: Values | None = None,
    tombstones: bool = False,
    isolation: str = "read_uncommitted",
    report: Report | bool | None = None,
    dead_letters: DeadLetters | None = None,
) -> pa.Table:
    """The last record of each key, as compaction would leave it, in the order of keys; one whose value was
    deleted is there only with `tombstones`. Records without a key are left out. Of a key in several
    partitions the later record counts.
    """
    from ottla.client.tables.by_key import Latest

    to_arrow = arrow_rows(key, value, dead_letters)
    kept = Latest()
    async with await _scan(cluster, topic, None, None, partitions, isolation, report) as scan:
        async for _, rows in scan:
            kept.add(rows)
    rows = kept.rows(tombstones=tombstones)
    await _prepare(to_arrow, rows)
    return _table(to_arrow, topic, [to_arrow(topic, rows)] if len(rows) else [])


async def _prepare(to_arrow: ArrowRows, rows: Columns) -> None:
    """In a thread, as a registry is waited for."""
    if to_arrow.lacks(rows):
        await asyncio.get_running_loop().run_in_executor(None, to_arrow.prepare, rows)


async def _scan(
    cluster: Cluster,
    topic: str,
    start: Bound,
    end: Bound,
    partitions: Iterable[int] | None,
    isolation: str,
    report: Report | bool | None,
) -> Scan:
    settings = settings_for(isolation)
    ranges = await resolve(cluster, topic, start, end, partitions, settings.isolation_level)
    return Scan(cluster, ranges, settings=settings, report=reporter(report))


def arrow_rows(
    key: Values | None, value: Values | None, dead_letters: DeadLetters | None = None
) -> ArrowRows:
    try:
        from ottla.client.tables.rows import ArrowRows
    except ImportError as error:
        raise missing_extra("tables", error) from error
    return ArrowRows(key, value, dead_letters)


def _table(to_arrow: ArrowRows, topic: str, batches: list[pa.RecordBatch]) -> pa.Table:
    from ottla.client.tables.rows import as_table

    return as_table(batches or [to_arrow(topic, Columns.of(()))])


def _selected(to_arrow: ArrowRows, topic: str, rows: Columns, keys: Collection[Key] | None) -> pa.RecordBatch:
    from ottla.client.tables.rows import take

    if keys is None:
        return to_arrow(topic, rows)
    wanted = {each.encode() if isinstance(each, str) else each for each in keys}
    places = [place for place, each in enumerate(rows.key) if each in wanted]
    return to_arrow(topic, take(rows, places))
