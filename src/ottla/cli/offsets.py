"""Where to read from: offsets and times as people write them, and what a cluster makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import parse_time
from ottla.cli.connection import check_each

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin

Partition = tuple[str, int]


class Kind(Enum):
    """What a position is counted from."""

    BEGINNING = "beginning"
    END = "end"
    OFFSET = "offset"  # from 0, or back from the end when negative
    TIMESTAMP = "timestamp"  # milliseconds since 1970


@dataclass(frozen=True, slots=True)
class Position:
    """A place in every partition that is asked for."""

    kind: Kind
    value: int = 0


class PositionType(click.ParamType[Position]):
    """`beginning`, `end`, an offset (negative: back from the end), or a time (see `parse_time`)."""

    name = "position"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Position:
        if isinstance(value, Position):
            return value
        try:
            return parse_position(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_position(text: str) -> Position:
    """A position as people write it; ValueError says what it may be."""
    if text in ("beginning", "end"):
        return Position(Kind(text))
    if re.fullmatch("-?[0-9]+", text):
        return Position(Kind.OFFSET, int(text))
    try:
        return Position(Kind.TIMESTAMP, parse_time(text))
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither 'beginning' nor 'end', an offset, @MILLISECONDS, a date and time"
            " or a time ago like -90m"
        ) from error


def log_ranges(admin: Admin, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
    """The earliest offset of each partition and the one that its next record will have."""
    from ottla.client.admin.records import OffsetSpec

    wanted = list(partitions)
    earliest = list_offsets(admin, wanted, OffsetSpec.EARLIEST)
    latest = list_offsets(admin, wanted, OffsetSpec.LATEST)
    return {partition: (earliest[partition], latest[partition]) for partition in wanted}


def resolve(admin: Admin, position: Position, partitions: Iterable[Partition]) -> dict[Partition, int]:
    """The offset that a position means in each partition, within what its log holds."""
    ranges = log_ranges(admin, partitions)
    found = {}
    if position.kind is Kind.TIMESTAMP:
        found = list_offsets(admin, ranges, position.value)
    return {
        partition: offset_in(position, earliest, latest, found.get(partition, -1))
        for partition, (earliest, latest) in ranges.items()
    }


def offset_in(position: Position, earliest: int, latest: int, found: int = -1) -> int:
    """A position within a log from `earliest` up to `latest`; `found` is what a timestamp led to, or -1."""
    match position.kind:
        case Kind.BEGINNING:
            return earliest
        case Kind.END:
            return latest
        case Kind.TIMESTAMP:
            return latest if found < 0 else found
        case Kind.OFFSET:
            wanted = position.value if position.value >= 0 else latest + position.value
            return min(max(wanted, earliest), latest)


def list_offsets(admin: Admin, partitions: Iterable[Partition], spec: int) -> dict[Partition, int]:
    """One offset of each partition, -1 where there is none."""
    from ottla.client.core.metadata import TopicPartition

    wanted = {TopicPartition(*partition): spec for partition in partitions}
    found = check_each(admin.records.list_offsets(wanted), lambda where: f"{where.topic}-{where.partition}")
    return {where: each.offset for where, each in found.items()}
