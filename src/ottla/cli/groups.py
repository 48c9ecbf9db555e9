"""`ottla group`: consumer groups, their lag, and moving them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, OFFSET, TIME
from ottla.cli.connection import CommandError, Connection, check_each, connected
from ottla.cli.offsets import Kind, Partition, Position, log_ranges, offset_in, resolve
from ottla.cli.output import cell, json_option, show_json, show_table

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin
    from ottla.client.admin.groups import ListedGroup


@click.group()
def group() -> None:
    """List, describe, rewind and delete consumer groups."""


@group.command(name="list")
@json_option
@connected
def list_(connection: Connection, as_json: bool) -> None:
    """List consumer groups."""
    listed = connection.admin.groups.list()
    listed.check()
    found = [each for groups in listed.values() for each in groups if _is_of_consumers(each)]
    rows = [
        {"group": each.group_id, "state": _state(each.state), "protocol": each.type or "unknown"}
        for each in sorted(found, key=lambda each: each.group_id)
    ]
    if as_json:
        show_json(rows)
    else:
        show_table(["group", "state", "protocol"], rows)


@group.command()
@click.argument("names", metavar="GROUP...", type=NAME, nargs=-1, required=True)
@json_option
@connected
def describe(connection: Connection, names: tuple[str, ...], as_json: bool) -> None:
    """Show members, committed offsets and lag of groups."""
    groups = [_description(connection.admin, name) for name in names]
    if as_json:
        show_json(groups)
        return
    for found in groups:
        assignor = f"  assignor {cell(found['assignor'])}" if found["assignor"] else ""
        lag = sum(row["lag"] or 0 for row in found["partitions"])
        click.echo(
            f"Group {cell(found['group'])}  {found['state']}  protocol {found['protocol']}{assignor}"
            f"  coordinator {found['coordinator']}  lag {lag}"
        )
        show_table(["topic", "partition", "committed", "latest", "lag", "member"], found["partitions"])
        if found["members"]:
            show_table(["member", "client", "host", "instance", "partitions"], found["members"])


@group.command(name="reset-offsets")
@click.argument("name", metavar="GROUP", type=NAME)
@click.option(
    "--topic",
    "topics",
    type=NAME,
    metavar="TOPIC[:PARTITION,...]",
    multiple=True,
    help="What to move; repeatable.  [default: all that the group has committed]",
)
@click.option("--to-earliest", is_flag=True, help="To the first record.")
@click.option("--to-latest", is_flag=True, help="Past the last record.")
@click.option("--to-offset", type=OFFSET, metavar="OFFSET", help="To this offset.")
@click.option(
    "--to-datetime",
    type=TIME,
    metavar="TIME",
    help="To the first record from this time on: @MILLISECONDS or 2031-12-24T18:00:00Z.",
)
@click.option("--shift-by", type=int, metavar="N", help="So many records forth, or back where negative.")
@click.option(
    "--dry-run/--execute", default=True, show_default=True, help="Only show what would be done, or do it."
)
@json_option
@connected
def reset_offsets(
    connection: Connection, name: str, topics: tuple[str, ...], dry_run: bool, as_json: bool, **targets: Any
) -> None:
    """Move a group without members to other offsets, within what the logs hold."""
    target = _target(targets)
    admin = connection.admin
    committed = _committed(admin, name)
    wanted = _partitions(admin, topics) if topics else sorted(committed)
    if not wanted:
        raise CommandError(f"{name} has committed nothing; name what to move with --topic")
    if isinstance(target, Position):
        offsets = resolve(admin, target, wanted)
    else:
        offsets = _shifted(admin, committed, wanted, target)
    rows = [
        {
            "topic": topic,
            "partition": partition,
            "committed": committed.get((topic, partition)),
            "new_offset": offset,
        }
        for (topic, partition), offset in sorted(offsets.items())
    ]
    if not dry_run:
        _commit(admin, name, offsets)
    if as_json:
        show_json(rows)
        return
    show_table(["topic", "partition", "committed", "new offset"], rows)
    if dry_run:
        click.echo("Nothing was changed; do it with --execute.", err=True)


@group.command()
@click.argument("names", metavar="GROUP...", type=NAME, nargs=-1, required=True)
@connected
def delete(connection: Connection, names: tuple[str, ...]) -> None:
    """Delete groups without members, with their offsets."""
    check_each(connection.admin.groups.delete(names))


def _description(admin: Admin, name: str) -> dict[str, Any]:
    from ottla.protocol.errors import ErrorCode

    result = admin.groups.describe([name])
    if any(error.code == ErrorCode.group_id_not_found for error in result.errors.values()):
        raise CommandError(f"{name}: there is no such group")
    (described,) = check_each(result).values()
    owners = {
        (partition.topic, partition.partition): member.member_id
        for member in described.members
        for partition in member.assignment
    }
    committed = _committed(admin, name)
    return {
        "group": name,
        "state": _state(described.state),
        "protocol": described.type,
        "assignor": described.assignor,
        "coordinator": described.coordinator,
        "partitions": _lags(admin, committed, owners),
        "members": [
            {
                "member": member.member_id,
                "client": member.client_id,
                "host": member.host.lstrip("/"),
                "instance": member.group_instance_id,
                "partitions": [f"{each.topic}-{each.partition}" for each in member.assignment],
            }
            for member in described.members
        ],
    }


def _lags(
    admin: Admin, committed: dict[Partition, int], owners: dict[Partition, str]
) -> list[dict[str, Any]]:
    """What the group is to read: how far it is, how far it could be."""
    partitions = sorted(committed.keys() | owners.keys())
    known = _led_partitions(admin, {topic for topic, _ in partitions})
    exist = [where for where in partitions if where[1] in known.get(where[0], ())]
    ranges = log_ranges(admin, exist)
    rows = []
    for where in partitions:
        latest, offset = ranges.get(where, (None, None))[1], committed.get(where)
        rows.append(
            {
                "topic": where[0],
                "partition": where[1],
                "committed": offset,
                "latest": latest,
                "lag": None if latest is None or offset is None else max(latest - offset, 0),
                "member": owners.get(where),
            }
        )
    return rows


def _led_partitions(admin: Admin, topics: Iterable[str]) -> dict[str, list[int]]:
    """The partitions, with a leader, of those topics that exist."""
    return {
        str(name): [each.partition for each in topic.partitions if each.leader is not None]
        for name, topic in admin.topics.describe(sorted(topics)).succeeded.items()
    }


def _committed(admin: Admin, name: str) -> dict[Partition, int]:
    (found,) = check_each(admin.group_offsets.list([name])).values()
    return {where: each.offset for where, each in found.succeeded.items() if each is not None}


def _target(options: dict[str, Any]) -> Position | int:
    """Where the options say to go; a number is a shift."""
    given = [name for name, value in options.items() if value is not None and value is not False]
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


def _partitions(admin: Admin, topics: Sequence[str]) -> list[Partition]:
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


def _commit(admin: Admin, name: str, offsets: dict[Partition, int]) -> None:
    from ottla.client.core.metadata import TopicPartition
    from ottla.protocol.errors import ErrorCode

    altered = admin.group_offsets.alter(name, {TopicPartition(*each): offsets[each] for each in offsets})
    if any(error.code == ErrorCode.unknown_member_id for error in altered.errors.values()):
        raise CommandError(f"{name} has members; it can be moved when they have left")
    check_each(altered, lambda _: name)


def _is_of_consumers(group: ListedGroup) -> bool:
    return group.protocol_type in ("", "consumer") and group.type in ("", "classic", "consumer")


def _state(state: str) -> str:
    """Kafka's name of a state, as it is shown."""
    known = {"PreparingRebalance": "preparing_rebalancing", "CompletingRebalance": "completing_rebalancing"}
    return known.get(state, state.lower() or "unknown")
