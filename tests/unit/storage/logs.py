"""Builders for tests of whole logs."""

from __future__ import annotations

from random import Random
from typing import Any

from ottla.config.broker import broker_config
from ottla.config.topic import TopicConfig, topic_config
from ottla.records.batch import ATTRIBUTES, Buffer, iter_headers, parse_header
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.storage.cleaner.cleaning import CleanerSettings
from ottla.storage.environment import LogEnvironment
from ottla.storage.fs import FileSystem
from ottla.storage.lifecycle import open_log
from ottla.storage.log import Log
from ottla.storage.producer_state import BatchMetadata
from ottla.storage.verification import EXEMPT

DIRECTORY = "/data/t-0"
NOW_MS = 1_000_000
MAX_BYTES = 1 << 20

_BROKER = broker_config()


def environment_of(fs: FileSystem, **options: Any) -> LogEnvironment:
    return LogEnvironment(fs, Random(1), _BROKER.ottla_decompressed_batch_max_bytes, **options)


def cleaner_settings(**changes: Any) -> CleanerSettings:
    """The broker's, but for `changes`."""
    return CleanerSettings(
        dedupe_buffer_size=_BROKER.log_cleaner_dedupe_buffer_size,
        dedupe_buffer_load_factor=_BROKER.log_cleaner_io_buffer_load_factor,
        io_buffer_size=_BROKER.log_cleaner_io_buffer_size,
        max_decompressed_bytes=_BROKER.ottla_decompressed_batch_max_bytes,
    )._replace(**changes)


def config(**overrides: object) -> TopicConfig:
    """A topic's configuration: `segment_bytes=1000` for `segment.bytes`."""
    return topic_config({name.replace("_", "."): str(value) for name, value in overrides.items()}, _BROKER)


def small_segments(**overrides: object) -> TopicConfig:
    """Segments of a few batches, and an index entry for almost every batch."""
    small: dict[str, Any] = {"segment_bytes": 600, "file_delete_delay_ms": 0}
    return config(index_interval_bytes=100)._replace(**{**small, **overrides})


def batch(count: int = 1, timestamp: int = 1_000, value: bytes = b"value", **options: Any) -> bytes:
    """Records with timestamps that ascend by one."""
    base_offset = options.get("base_offset", 0)
    records = [Record(base_offset + number, timestamp + number, None, value, ()) for number in range(count)]
    return encode_batch(records, **options)


def open_at(
    fs: FileSystem,
    topic_config: TopicConfig,
    *,
    directory: str = DIRECTORY,
    clean: bool = True,
    **options: Any,
) -> Log:
    environment = options.pop("environment", None) or environment_of(fs)
    return open_log(directory, "t-0", topic_config, environment, clean=clean, now_ms=NOW_MS, **options)


def append_one(
    log: Log, batch: Buffer, leader_epoch: int = 0, now_ms: int = NOW_MS
) -> tuple[int, BatchMetadata | None]:
    """Append a whole batch; no coordinator is asked about its transaction."""
    header, body = parse_header(batch), memoryview(batch)[ATTRIBUTES:]
    return log.append(header, body, leader_epoch, now_ms, verification=EXEMPT)


def append(log: Log, *batches: bytes, leader_epoch: int = 0, now_ms: int = NOW_MS) -> list[int]:
    """Append each batch as the only replica, so that all is committed; returns their base offsets."""
    appended = [append_one(log, each, leader_epoch, now_ms)[0] for each in batches]
    log.advance_high_watermark(log.log_end_offset)
    return appended


def read_all(log: Log, *, max_bytes: int = MAX_BYTES) -> list[Record]:
    """Every record from the log start on, read as a consumer would."""
    records: list[Record] = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        read = log.read(offset, max_bytes, log.log_end_offset)
        headers = list(iter_headers(read.records))
        if not headers:
            break
        for position, header in headers:
            data = bytes(read.records[position : position + header.size])
            records += [
                r for r in decode_batch(data, max_bytes=MAX_BYTES) if r.offset >= log.log_start_offset
            ]
        offset = headers[-1][1].next_offset
    return records


def offsets(log: Log) -> list[int]:
    return [record.offset for record in read_all(log)]
