"""Moving what a group has committed: the options that say where to, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import OFFSET, TIME
from ottla.cli.connection import CommandError, check_each
from ottla.cli.offsets import Kind, Partition, Position, log_ranges, offset_in, resolve
from ottla.cli.options import together

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin

target_options = together(
    click.option("--to-earliest", is_flag=True, help="To the first record."),
    click.option("--to-latest", is_flag=True, help="Past the last record."),
    click.option("--to-offset", type=OFFSET, metavar="OFFSET", help="To this offset."),
    click.option(
        "--to-datetime",
        type=TIME,
        metavar="TIME",
        help="To the first record from this time on: @MILLISECONDS or 2031-12-24T18:00:00Z.",
    ),
    click.option("--shift-by", type=int, metavar="N", help="So many records forth, or back where negative."),
)
"""Of which `target` takes one."""


def target(options: dict[str, Any], default: Position | None = None) -> Position | int:
    """Where the options say to go; a number is a shift. UsageError for none, without a default, and more."""
    given = [name for name, value in options.items() if value is not None and value is not False]
    if not given and default is not None:
        return default
    if len(given) != 1:
        raise click.UsageError(
            "Give one of --to-earliest, --to-latest, --to-offset, --to-datetime and --shift-by."
        )
    value = options[given[0]]
    match given[0]:
        case "to_earliest":
            return Position(Kind.BEGINNING)
        case "to_latest":
            return Position(Kind.END)
        case "to_offset":
            return Position(Kind.OFFSET, value)
        case "to_datetime":
            return Position(Kind.TIMESTAMP, value)
        case _:
            return int(value)


def parse_topic(text: str) -> tuple[str, list[int]]:
    """A topic and the partitions asked for, all where there are none: `TOPIC[:PARTITION,...]`."""
    topic, colon, numbers = text.partition(":")
    if not colon:
        return topic, []
    try:
        return topic, [int(number) for number in numbers.split(",")]
    except ValueError as error:
        raise click.UsageError(f"{text!r} is not TOPIC[:PARTITION,...]") from error


def partitions_of(admin: Admin, topics: Sequence[str]) -> list[Partition]:
    """Those that are asked for (see `parse_topic`). CommandError for what is not there."""
    from ottla.protocol.errors import ErrorCode

    asked = [parse_topic(topic) for topic in topics]
    described = admin.topics.describe([topic for topic, _ in asked])
    wanted = []
    for topic, numbers in asked:
        error = described.errors.get(topic)
        if error is not None and error.code == ErrorCode.unknown_topic_or_partition:
            raise CommandError(f"{topic}: there is no such topic")
        known = [each.partition for each in described[topic].partitions]
        if missing := set(numbers).difference(known):
            raise CommandError(f"{topic} has no partition {min(missing)}, it has {len(known)}")
        wanted += [(topic, number) for number in numbers or known]
    return wanted


def committed_offsets(admin: Admin, name: str) -> dict[Partition, int]:
    """How far a group is, by partition."""
    (found,) = check_each(admin.group_offsets.list([name])).values()
    return {where: each.offset for where, each in found.succeeded.items() if each is not None}


def moved(
    admin: Admin, committed: dict[Partition, int], wanted: Iterable[Partition], where: Position | int
) -> list[dict[str, Any]]:
    """Of each partition what is committed and what is to be, within what its log holds."""
    offsets = (
        resolve(admin, where, wanted)
        if isinstance(where, Position)
        else _shifted(admin, committed, wanted, where)
    )
    return [
        {
            "topic": topic,
            "partition": partition,
            "committed": committed.get((topic, partition)),
            "new_offset": offset,
        }
        for (topic, partition), offset in sorted(offsets.items())
    ]


def commit(admin: Admin, name: str, rows: Iterable[dict[str, Any]]) -> None:
    """What `moved` says. CommandError for a group that has members."""
    from ottla.client.core.metadata import TopicPartition
    from ottla.protocol.errors import ErrorCode

    offsets = {TopicPartition(row["topic"], row["partition"]): row["new_offset"] for row in rows}
    altered = admin.group_offsets.alter(name, offsets)
    if any(error.code == ErrorCode.unknown_member_id for error in altered.errors.values()):
        raise CommandError(f"{name} has members; it can be moved when they have left")
    check_each(altered, lambda _: name)


def _shifted(
    admin: Admin, committed: dict[Partition, int], wanted: Iterable[Partition], shift: int
) -> dict[Partition, int]:
    found = [where for where in wanted if where in committed]
    if not found:
        raise CommandError("nothing to shift: the group has committed no offsets there")
    ranges = log_ranges(admin, found)
    return {
        where: offset_in(Position(Kind.OFFSET, max(committed[where] + shift, 0)), *ranges[where])
        for where in found
    }
