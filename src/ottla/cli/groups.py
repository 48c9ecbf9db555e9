"""`ottla group`: consumer groups, their lag, and moving them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME
from ottla.cli.connection import CommandError, Connection, check_each, connected
from ottla.cli.moving import commit, committed_offsets, moved, partitions_of, target, target_options
from ottla.cli.offsets import Partition, log_ranges
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
@target_options
@click.option(
    "--dry-run/--execute", default=True, show_default=True, help="Only show what would be done, or do it."
)
@json_option
@connected
def reset_offsets(
    connection: Connection, name: str, topics: tuple[str, ...], dry_run: bool, as_json: bool, **targets: Any
) -> None:
    """Move a group without members to other offsets, within what the logs hold."""
    where = target(targets)
    admin = connection.admin
    committed = committed_offsets(admin, name)
    wanted = partitions_of(admin, topics) if topics else sorted(committed)
    if not wanted:
        raise CommandError(f"{name} has committed nothing; name what to move with --topic")
    rows = moved(admin, committed, wanted, where)
    if not dry_run:
        commit(admin, name, rows)
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
    committed = committed_offsets(admin, name)
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


def _is_of_consumers(group: ListedGroup) -> bool:
    return group.protocol_type in ("", "consumer") and group.type in ("", "classic", "consumer")


def _state(state: str) -> str:
    """Kafka's name of a state, as it is shown."""
    known = {"PreparingRebalance": "preparing_rebalancing", "CompletingRebalance": "completing_rebalancing"}
    return known.get(state, state.lower() or "unknown")
