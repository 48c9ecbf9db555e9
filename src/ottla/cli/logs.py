"""`ottla log`: what the files of a data folder say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.connection import CommandError
from ottla.cli.output import encode, iso_time

if TYPE_CHECKING:
    from ottla.records.codec import Record
    from ottla.storage.dump import BatchFact, Fact

TEXT_LIMIT = 200  # characters of a key or value in a line for people
TIMES = {"timestamp", "max_timestamp", "last_timestamp"}


@click.group()
def log() -> None:
    """Look into the files of a data folder."""


@log.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False)
)
@click.option("--records", "with_records", is_flag=True, help="Show the records in a segment's batches.")
@click.option("--base64", "use_base64", is_flag=True, help="In JSON, keys, values and headers as base64.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each finding.")
def dump(files: tuple[str, ...], with_records: bool, use_base64: bool, as_json: bool) -> None:
    """Show what is in files of a data folder, Ottla's or Apache Kafka's.

    Reads segments (.log), indexes (.index, .timeindex, .txnindex), producer snapshots and checkpoints, also
    half-written ones. Ends with code 1 if a file is damaged.
    """
    if use_base64 and not as_json:
        raise click.UsageError("--base64 goes with --json.")
    damaged: dict[str, None] = {}
    for file in files:
        if len(files) > 1 and not as_json:
            click.echo(f"{file}:")
        for fact in read_facts(file, with_records=with_records):
            if is_damage(fact):
                damaged[file] = None
            for line in [json_line(file, fact, use_base64)] if as_json else text_lines(fact):
                click.echo(line)
    if damaged:
        raise CommandError(f"damaged: {', '.join(damaged)}")


def read_facts(file: str, *, with_records: bool) -> Iterator[Fact]:
    from ottla.storage.dump import UnknownFileError
    from ottla.storage.dump import dump as read
    from ottla.storage.fs import OsFileSystem

    try:
        yield from read(OsFileSystem(), file, with_records=with_records)
    except (UnknownFileError, OSError) as error:
        raise CommandError(str(error)) from error


def is_damage(fact: Fact) -> bool:
    from ottla.storage.dump import BatchFact, Stopped

    if isinstance(fact, BatchFact):
        return not fact.is_crc_valid or fact.error is not None
    return isinstance(fact, Stopped)


def json_line(file: str, fact: Fact, use_base64: bool) -> str:
    return json.dumps({"file": file, **describe(fact, use_base64=use_base64)})


def text_lines(fact: Fact) -> Iterator[str]:
    """A fact as people read it: `name=value` pairs, and a line for each record."""
    described = describe(fact)
    records = described.pop("records", [])
    kind = described.pop("kind")
    yield "  ".join([kind, *(f"{name}={_word(name, value)}" for name, value in described.items())])
    for record in records:
        headers = ",".join(f"{name}={_or_null(value)}" for name, value in record["headers"])
        key, value = (_shortened(record[name]) for name in ("key", "value"))
        line = f"  {record['offset']}  {iso_time(record['timestamp'])}  key={key}  value={value}"
        yield f"{line}  headers={_shortened(headers)}" if headers else line


def describe(fact: Fact, *, use_base64: bool = False) -> dict[str, Any]:
    """A fact's fields by name, its kind first."""
    from ottla.storage.dump import AbortedFact, BatchFact

    if isinstance(fact, BatchFact):
        return _batch(fact, use_base64)
    fields = fact.txn._asdict() if isinstance(fact, AbortedFact) else dataclasses.asdict(fact)
    return {"kind": type(fact).__name__.removesuffix("Fact").lower(), **fields}


def _batch(fact: BatchFact, use_base64: bool) -> dict[str, Any]:
    header = fact.header
    described: dict[str, Any] = {
        "kind": "batch",
        "position": fact.position,
        "size": header.size,
        "base_offset": header.base_offset,
        "last_offset": header.last_offset,
        "count": header.record_count,
        "leader_epoch": header.leader_epoch,
        "codec": _codec_name(header.codec),
        "timestamp_type": header.timestamp_type.name,
        "max_timestamp": header.max_timestamp,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "transactional": header.is_transactional,
        "control": header.is_control,
        "crc": "valid" if fact.is_crc_valid else "wrong",
    }
    if header.delete_horizon_ms is not None:
        described["delete_horizon"] = header.delete_horizon_ms
    if fact.marker is not None:
        described["marker"] = "commit" if fact.marker.is_commit else "abort"
        described["coordinator_epoch"] = fact.marker.coordinator_epoch
    if fact.error is not None:
        described["error"] = fact.error
    if fact.records is not None:
        described["records"] = [_record(record, use_base64) for record in fact.records]
    return described


def _record(record: Record, use_base64: bool) -> dict[str, Any]:
    return {
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": encode(record.key, use_base64),
        "value": encode(record.value, use_base64),
        "headers": [[name, encode(value, use_base64)] for name, value in record.headers],
    }


def _codec_name(number: int) -> str:
    from ottla.records.compression import Codec

    return Codec(number).name if number in Codec.__members__.values() else str(number)


def _word(name: str, value: Any) -> str:
    if name in TIMES:
        return iso_time(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _or_null(text: str | None) -> str:
    return "null" if text is None else text


def _shortened(text: str | None) -> str:
    """Text of a record without what would break the line or fill the screen."""
    text = _or_null(text)
    shown = text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}... ({len(text)} characters)"
    return shown if shown.isprintable() else repr(shown)[1:-1]
