"""`ottla topic`: create, list, describe, alter and delete topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, PARTITION_COUNT, PROPERTY, REPLICA_COUNT
from ottla.cli.connection import CommandError, Connection, connected, explain, wait, wait_each
from ottla.cli.output import cell, json_option, show_json, show_table

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

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
    from confluent_kafka import KafkaError
    from confluent_kafka.admin import NewTopic

    new = [NewTopic(name, partitions or -1, replication_factor or -1, config=dict(configs)) for name in names]
    futures = connection.admin.create_topics(new, validate_only=validate_only)
    if if_not_exists:
        futures = _without(futures, KafkaError.TOPIC_ALREADY_EXISTS)
    wait_each(futures)


@topic.command(name="list")
@click.option("--internal", is_flag=True, help="Show Kafka's own topics too.")
@json_option
@connected
def list_(connection: Connection, internal: bool, as_json: bool) -> None:
    """List topics."""
    from confluent_kafka import KafkaError, TopicCollection

    admin = connection.admin
    names = sorted(admin.list_topics(timeout=30).topics)
    futures = admin.describe_topics(TopicCollection(names)) if names else {}
    # What was deleted in between is gone.
    described = wait_each(_without(futures, KafkaError.UNKNOWN_TOPIC_OR_PART))
    rows = [
        {
            "topic": name,
            "partitions": len(described[name].partitions),
            "replicas": max((len(part.replicas) for part in described[name].partitions), default=0),
            "internal": described[name].is_internal,
        }
        for name in sorted(described)
        if internal or not described[name].is_internal
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
    from confluent_kafka.admin import ConfigResource, NewPartitions

    from ottla.cli.configs import change_configs

    if not (partitions or configs or deletions):
        raise click.UsageError("Nothing to alter: give --partitions, --config or --delete-config.")
    admin = connection.admin
    if configs or deletions:
        change_configs(admin, ConfigResource(ConfigResource.Type.TOPIC, name), dict(configs), deletions)
    if partitions:
        wait_each(admin.create_partitions([NewPartitions(name, partitions)]))


@topic.command()
@click.argument("names", type=NAME, metavar="NAME...", nargs=-1, required=True)
@click.option("--if-exists", is_flag=True, help="Do not mind a topic that is not there.")
@connected
def delete(connection: Connection, names: tuple[str, ...], if_exists: bool) -> None:
    """Delete topics and their records."""
    from confluent_kafka import KafkaError

    futures = connection.admin.delete_topics(list(names))
    if if_exists:
        futures = _without(futures, KafkaError.UNKNOWN_TOPIC_OR_PART)
    wait_each(futures)


def _without(futures: dict[str, Any], accepted_code: int) -> dict[str, Any]:
    """The requests that did not end with an error that the caller does not mind."""
    from confluent_kafka import KafkaException

    kept = {}
    for name, future in futures.items():
        try:
            wait(future)
        except KafkaException as error:
            if error.args[0].code() == accepted_code:
                continue
        kept[name] = future
    return kept


def _description(admin: AdminClient, name: str) -> dict[str, Any]:
    from confluent_kafka import KafkaException, TopicCollection
    from confluent_kafka.admin import ConfigResource

    from ottla.cli.configs import describe_resource
    from ottla.cli.offsets import log_ranges

    try:
        described = wait(admin.describe_topics(TopicCollection([name]))[name])
    except KafkaException as error:
        raise CommandError(f"{name}: {explain(error.args[0])}") from error
    configs = describe_resource(admin, ConfigResource(ConfigResource.Type.TOPIC, name))
    with_leader = [part.id for part in described.partitions if part.leader is not None]
    ranges = log_ranges(admin, [(name, partition) for partition in with_leader])
    return {
        "topic": name,
        "topic_id": str(described.topic_id),
        "internal": described.is_internal,
        "configs": {config["name"]: config["value"] for config in configs if config["source"] == "topic"},
        "partitions": [
            {
                "partition": part.id,
                "leader": None if part.leader is None else part.leader.id,
                "replicas": [node.id for node in part.replicas],
                "isr": [node.id for node in part.isr],
                "earliest": ranges.get((name, part.id), (None, None))[0],
                "latest": ranges.get((name, part.id), (None, None))[1],
            }
            for part in described.partitions
        ],
    }
