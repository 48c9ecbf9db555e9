"""Compaction against Apache Kafka 4.3: the same log, cleaned by both."""

from __future__ import annotations

from pathlib import Path

from tests.unit.storage.logs import cleaner_settings

from ottla.config.broker import broker_config
from ottla.config.topic import topic_config
from ottla.records.batch import BatchHeader, iter_headers
from ottla.records.codec import Record, decode_batch
from ottla.records.markers import parse_control_marker
from ottla.storage.cleaner.cleaning import (
    CleanedGroup,
    CleaningFinished,
    CleaningStep,
    clean,
)
from ottla.storage.cleaner.policy import CleaningFacts, SegmentFacts, plan_cleaning
from ottla.storage.fs import OsFileSystem
from ottla.storage.producer_state import ProducerState

# Three plain records, two of an idempotent producer (gzip; one a tombstone), an aborted transaction, a
# committed one, and one more of the idempotent producer. Its key comes again in the active segment at offset
# 11.
BEFORE = bytes.fromhex(
    "00000000000000000000004c0000000002a19dbd08000000000002000001a1fad75343000001a1fad75343ffffffffff"
    "ffffffffffffffffff000000031000000002610231001000000202620231001000000402630231000000000000000003"
    "0000004200000000024c086151000000000001000001a1fad75355000001a1fad7535500000000000000000000000000"
    "00000000021000000002610232000e00000202620100000000000000000500000040000000000278f8d1a30010000000"
    "00000001a1fad75361000001a1fad753610000000000000001000000000000000000011c00000002630e61626f727465"
    "6400000000000000000600000042000000000294fbd579003000000000000001a1fad7541d000001a1fad7541d000000"
    "00000000010000ffffffff000000012000000008000000000c0000000000000000000000000000070000004300000000"
    "024d07bee7001000000001000001a1fad75401000001a1fad75401000000000000000100000000000100000002100000"
    "00026402310010000002026502310000000000000000090000003a000000000276fac75e000000000000000001a1fad7"
    "5448000001a1fad75448000000000000000000000000000200000001100000000264023200000000000000000a000000"
    "4200000000025a6caa58003000000000000001a1fad7544a000001a1fad7544a00000000000000010000ffffffff0000"
    "00012000000008000000010c00000000000000"
)
BEFORE_ABORTED = bytes.fromhex("00000000000000000001000000000000000500000000000000060000000000000007")
AFTER = bytes.fromhex(
    "00000000000000000000003a00000000024d82141c000000000002000001a1fad75343000001a1fad75343ffffffffff"
    "ffffffffffffffffff0000000110000004026302310000000000000000030000004600000000024896ad0d0040000000"
    "01000001a1fad84bf7000001a1fad753550000000000000000000000000000000000021400c3e2070002610232001200"
    "c3e2070202620100000000000000000600000042000000000294fbd579003000000000000001a1fad7541d000001a1fa"
    "d7541d00000000000000010000ffffffff000000012000000008000000000c0000000000000000000000000000070000"
    "003a0000000002fc60a7ad001000000001000001a1fad75401000001a1fad75401000000000000000100000000000100"
    "00000110000002026502310000000000000000090000003a000000000276fac75e000000000000000001a1fad7544800"
    "0001a1fad75448000000000000000000000000000200000001100000000264023200000000000000000a000000420000"
    "0000025a6caa58003000000000000001a1fad7544a000001a1fad7544a00000000000000010000ffffffff0000000120"
    "00000008000000010c00000000000000"
)
CLEANED_AT_MS = 1795209781655
DELETE_RETENTION_MS = 60_000


def contents(log: bytes) -> list[tuple[BatchHeader, list[Record]]]:
    """Headers and records; without what differs between implementations of gzip."""
    found = []
    for pos, header in iter_headers(log, allow_partial=False):
        records = decode_batch(log[pos : pos + header.size], max_bytes=1 << 20)
        if header.codec:
            header = header._replace(crc=0, batch_length=0)
        found.append((header, records))
    return found


def facts(directory: Path) -> CleaningFacts:
    producers = ProducerState("c-0")
    for pos, header in iter_headers(BEFORE):
        batch = BEFORE[pos : pos + header.size]
        producers.replay(header, parse_control_marker(header, batch) if header.is_control else None)
    overrides = {"cleanup.policy": "compact", "delete.retention.ms": str(DELETE_RETENTION_MS)}
    return CleaningFacts(
        directory=str(directory),
        generation=0,
        segments=(SegmentFacts(0, len(BEFORE), 0, 0, 0),),
        active_base_offset=11,
        log_start_offset=0,
        log_end_offset=12,
        high_watermark=12,
        last_stable_offset=12,
        last_records=producers.last_records(),
        config=topic_config(overrides, broker_config()),
    )


def test_the_cleaned_segment_and_its_transactions_are_kafkas(tmp_path: Path) -> None:
    segment = tmp_path / "00000000000000000000.log"
    segment.write_bytes(BEFORE)
    segment.with_suffix(".txnindex").write_bytes(BEFORE_ABORTED)
    plan = plan_cleaning(facts(tmp_path), None, CLEANED_AT_MS)
    steps: list[CleaningStep] = list(clean(OsFileSystem(), plan, cleaner_settings(), CLEANED_AT_MS))
    groups = [step for step in steps if isinstance(step, CleanedGroup)]
    assert [group.new_base_offsets for group in groups] == [(0,)]
    assert steps[-1] == CleaningFinished(11)
    cleaned = segment.with_suffix(".log.cleaned").read_bytes()
    assert contents(cleaned) == contents(AFTER)
    assert segment.with_suffix(".txnindex.cleaned").read_bytes() == BEFORE_ABORTED
