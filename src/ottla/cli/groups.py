"""`ottla group`: consumer groups, their lag, and moving them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, OFFSET, TIME
from ottla.cli.connection import CommandError, Connection, connected, explain, wait, wait_each
from ottla.cli.offsets import Kind, Partition, Position, log_ranges, offset_in, resolve
from ottla.cli.output import cell, json_option, show_json, show_table

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, ConsumerGroupDescription


@click.group()
def group() -> None:
    """List, describe, rewind and delete consumer groups."""


@group.command(name="list")
@json_option
@connected
def list_(connection: Connection, as_json: bool) -> None:
    """List consumer groups."""
    listed = wait(connection.admin.list_consumer_groups(request_timeout=30))
    if listed.errors:
        raise CommandError(explain(listed.errors[0].args[0]))
    rows = [
        {
            "group": found.group_id,
            "state": found.state.name.lower(),
            "protocol": found.type.name.lower(),
        }
        for found in sorted(listed.valid, key=lambda found: found.group_id)
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
    wait_each(connection.admin.delete_consumer_groups(list(names)))


def _description(admin: AdminClient, name: str) -> dict[str, Any]:
    from confluent_kafka import KafkaException

    try:
        described: ConsumerGroupDescription = wait(admin.describe_consumer_groups([name])[name])
    except KafkaException as error:
        raise CommandError(f"{name}: {explain(error.args[0])}") from error
    if described.state.name == "DEAD":
        raise CommandError(f"{name}: there is no such group")
    owners = {
        (partition.topic, partition.partition): member.member_id
        for member in described.members
        for partition in member.assignment.topic_partitions
    }
    committed = _committed(admin, name)
    return {
        "group": name,
        "state": described.state.name.lower(),
        "protocol": described.type.name.lower(),
        "assignor": described.partition_assignor,
        "coordinator": None if described.coordinator is None else described.coordinator.id,
        "partitions": _lags(admin, committed, owners),
        "members": [
            {
                "member": member.member_id,
                "client": member.client_id,
                "host": member.host.lstrip("/"),
                "instance": member.group_instance_id,
                "partitions": [
                    f"{part.topic}-{part.partition}" for part in member.assignment.topic_partitions
                ],
            }
            for member in described.members
        ],
    }


def _lags(
    admin: AdminClient, committed: dict[Partition, int], owners: dict[Partition, str]
) -> list[dict[str, Any]]:
    """What the group is to read: how far it is, how far it could be."""
    known = admin.list_topics(timeout=30).topics
    partitions = sorted(committed.keys() | owners.keys())
    exist = [where for where in partitions if where[0] in known and where[1] in known[where[0]].partitions]
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


def _committed(admin: AdminClient, name: str) -> dict[Partition, int]:
    from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException

    try:
        (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)]).values()
        found = wait(future).topic_partitions
    except KafkaException as error:
        raise CommandError(f"{name}: {explain(error.args[0])}") from error
    return {
        (partition.topic, partition.partition): partition.offset
        for partition in found
        if partition.offset >= 0
    }


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


def _partitions(admin: AdminClient, topics: Sequence[str]) -> list[Partition]:
    known = admin.list_topics(timeout=30).topics
    wanted = []
    for topic, numbers in map(parse_topic, topics):
        if topic not in known:
            raise CommandError(f"{topic}: there is no such topic")
        if missing := set(numbers) - known[topic].partitions.keys():
            raise CommandError(
                f"{topic} has no partition {min(missing)}, it has {len(known[topic].partitions)}"
            )
        wanted += [(topic, number) for number in numbers or sorted(known[topic].partitions)]
    return wanted


def _shifted(
    admin: AdminClient, committed: dict[Partition, int], wanted: Iterable[Partition], shift: int
) -> dict[Partition, int]:
    found = [where for where in wanted if where in committed]
    if not found:
        raise CommandError("nothing to shift: the group has committed no offsets there")
    ranges = log_ranges(admin, found)
    return {
        where: offset_in(Position(Kind.OFFSET, max(committed[where] + shift, 0)), *ranges[where])
        for where in found
    }


def _commit(admin: AdminClient, name: str, offsets: dict[Partition, int]) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

    partitions = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    (future,) = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, partitions)]).values()
    try:
        errors = [part.error for part in wait(future).topic_partitions if part.error is not None]
    except KafkaException as error:
        errors = [error.args[0]]
    if errors and errors[0].code() == KafkaError.UNKNOWN_MEMBER_ID:
        raise CommandError(f"{name} has members; it can be moved when they have left")
    if errors:
        raise CommandError(f"{name}: {explain(errors[0])}")
