"""`ottla topic`: create, list, describe, alter and delete topics."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, PARTITION_COUNT, PROPERTY, REPLICA_COUNT
from ottla.cli.connection import Connection, check_each, connected
from ottla.cli.output import cell, json_option, show_json, show_table

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.client.admin.admin import Admin
    from ottla.client.admin.results import Results
    from ottla.protocol.errors import ErrorCode

config_option = click.option(
    "--config",
    "configs",
    type=PROPERTY,
    metavar="NAME=VALUE",
    multiple=True,
    help="A config of the topic; repeatable.",
)


@click.group()
def topic() -> None:
    """Create, list, describe, alter and delete topics."""


@topic.command()
@click.argument("names", type=NAME, metavar="NAME...", nargs=-1, required=True)
@click.option("--partitions", type=PARTITION_COUNT, help="How many; the broker's default otherwise.")
@click.option("--replication-factor", type=REPLICA_COUNT, help="Copies; the broker's default otherwise.")
@config_option
@click.option("--if-not-exists", is_flag=True, help="Do not mind a topic that is there already.")
@click.option("--validate-only", is_flag=True, help="Only check whether it could be done.")
@connected
def create(
    connection: Connection,
    names: tuple[str, ...],
    partitions: int | None,
    replication_factor: int | None,
    configs: tuple[tuple[str, str], ...],
    if_not_exists: bool,
    validate_only: bool,
) -> None:
    """Create topics."""
    from ottla.client.admin.topics import NewTopic
    from ottla.protocol.errors import ErrorCode

    new = [NewTopic(name, partitions or -1, replication_factor or -1, dict(configs)) for name in names]
    created = connection.admin.topics.create(new, validate_only=validate_only)
    check_each(_without(created, ErrorCode.topic_already_exists) if if_not_exists else created)


@topic.command(name="list")
@click.option("--internal", is_flag=True, help="Show Kafka's own topics too.")
@json_option
@connected
def list_(connection: Connection, internal: bool, as_json: bool) -> None:
    """List topics."""
    rows = [
        {
            "topic": listed.name,
            "partitions": listed.partitions,
            "replicas": listed.replication_factor,
            "internal": listed.is_internal,
        }
        for listed in connection.admin.topics.list(internal=internal)
    ]
    if as_json:
        show_json(rows)
    else:
        show_table(["topic", "partitions", "replicas", *(["internal"] if internal else [])], rows)


@topic.command()
@click.argument("names", type=NAME, metavar="NAME...", nargs=-1, required=True)
@json_option
@connected
def describe(connection: Connection, names: tuple[str, ...], as_json: bool) -> None:
    """Show partitions, replicas, offsets and changed configs of topics."""
    admin = connection.admin
    topics = [_description(admin, name) for name in names]
    if as_json:
        show_json(topics)
        return
    for described in topics:
        configs = " ".join(f"{name}={cell(value)}" for name, value in described["configs"].items())
        click.echo(f"Topic {described['topic']}  id {described['topic_id']}  {configs}".rstrip())
        show_table(["partition", "leader", "replicas", "isr", "earliest", "latest"], described["partitions"])


@topic.command()
@click.argument("name", type=NAME)
@click.option("--partitions", type=PARTITION_COUNT, help="Grow to this many partitions.")
@config_option
@click.option(
    "--delete-config",
    "deletions",
    type=NAME,
    metavar="NAME",
    multiple=True,
    help="Return a config to its default.",
)
@connected
def alter(
    connection: Connection,
    name: str,
    partitions: int | None,
    configs: tuple[tuple[str, str], ...],
    deletions: tuple[str, ...],
) -> None:
    """Give a topic more partitions or other configs."""
    from ottla.cli.configs import change_configs
    from ottla.client.admin.configs import ConfigKind, ConfigResource

    if not (partitions or configs or deletions):
        raise click.UsageError("Nothing to alter: give --partitions, --config or --delete-config.")
    admin = connection.admin
    if configs or deletions:
        change_configs(admin, ConfigResource(ConfigKind.TOPIC, name), dict(configs), deletions)
    if partitions:
        check_each(admin.topics.add_partitions({name: partitions}))


@topic.command()
@click.argument("names", type=NAME, metavar="NAME...", nargs=-1, required=True)
@click.option("--if-exists", is_flag=True, help="Do not mind a topic that is not there.")
@connected
def delete(connection: Connection, names: tuple[str, ...], if_exists: bool) -> None:
    """Delete topics and their records."""
    from ottla.protocol.errors import ErrorCode

    deleted = connection.admin.topics.delete(names)
    check_each(_without(deleted, ErrorCode.unknown_topic_or_partition) if if_exists else deleted)


def _without(results: Results[Any, Any], accepted: ErrorCode) -> Results[Any, Any]:
    """The results without those errors that the caller does not mind."""
    from ottla.client.admin.results import Results

    kept = {key: error for key, error in results.errors.items() if error.code != accepted}
    return Results({**results.succeeded, **kept})


def _description(admin: Admin, name: str) -> dict[str, Any]:
    from ottla.cli.configs import describe_resource
    from ottla.cli.offsets import log_ranges
    from ottla.client.admin.configs import ConfigKind, ConfigResource

    (described,) = check_each(admin.topics.describe([name])).values()
    configs = describe_resource(admin, ConfigResource(ConfigKind.TOPIC, name))
    with_leader = [each.partition for each in described.partitions if each.leader is not None]
    ranges = log_ranges(admin, [(name, partition) for partition in with_leader])
    return {
        "topic": name,
        "topic_id": _in_base64(described.topic_id),
        "internal": described.is_internal,
        "configs": {config["name"]: config["value"] for config in configs if config["source"] == "topic"},
        "partitions": [
            {
                "partition": each.partition,
                "leader": each.leader,
                "replicas": list(each.replicas),
                "isr": list(each.isr),
                "earliest": ranges.get((name, each.partition), (None, None))[0],
                "latest": ranges.get((name, each.partition), (None, None))[1],
            }
            for each in described.partitions
        ],
    }


def _in_base64(topic_id: UUID | None) -> str | None:
    """An id as Kafka's own tools write it."""
    return None if topic_id is None else urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")
