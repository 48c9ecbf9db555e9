"""`ottla config`: configs of topics, brokers and groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ottla.cli import cluster_default
from ottla.cli.arguments import NAME, PROPERTY
from ottla.cli.connection import CommandError, Connection, connected, explain, wait
from ottla.cli.output import json_option, show_json, show_table

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, ConfigResource

ALL_BROKERS = "default"
TYPES = ["topic", "broker", "group"]

SOURCES = {
    "DYNAMIC_TOPIC_CONFIG": "topic",
    "DYNAMIC_BROKER_CONFIG": "broker",
    "DYNAMIC_DEFAULT_BROKER_CONFIG": "all brokers",
    "STATIC_BROKER_CONFIG": "start",
    "DEFAULT_CONFIG": "default",
    "GROUP_CONFIG": "group",
}


@click.group()
def config() -> None:
    """Describe and change configs of topics, brokers and groups.

    A broker is named by its id, all brokers together by "default".
    """


resource_arguments = [
    click.argument("kind", metavar="topic|broker|group", type=click.Choice(TYPES)),
    click.argument("name", type=NAME),
]


def on_resource(command: Any) -> Any:
    """Arguments that name what the configs belong to."""
    for argument in reversed(resource_arguments):
        command = argument(command)
    return command


@config.command()
@on_resource
@click.option("--all", "everything", is_flag=True, help="Show defaults too.")
@json_option
@connected
def describe(connection: Connection, kind: str, name: str, everything: bool, as_json: bool) -> None:
    """Show configs; those that were changed, or all of them.

    `ottla config describe broker default` shows what all brokers share.
    """
    if is_all_brokers(kind, name):
        configs = describe_all_brokers(connection)
    else:
        configs = describe_resource(connection.admin, resource_of(connection, kind, name))
    shown = [entry for entry in configs if everything or entry["source"] != "default"]
    if as_json:
        show_json(shown)
    else:
        show_table(["name", "value", "source", "read only"], shown)


@config.command(name="set")
@on_resource
@click.argument("settings", type=PROPERTY, metavar="NAME=VALUE...", nargs=-1, required=True)
@click.option("--validate-only", is_flag=True, help="Only check whether it could be done.")
@connected
def set_(
    connection: Connection,
    kind: str,
    name: str,
    settings: tuple[tuple[str, str], ...],
    validate_only: bool,
) -> None:
    """Change configs, the others stay.

    `ottla config set broker default NAME=VALUE` changes what all brokers share, Kafka's --entity-default;
    what is set for a broker by its id goes before it.
    """
    change(connection, kind, name, dict(settings), (), validate_only=validate_only)


@config.command()
@on_resource
@click.argument("configs", type=NAME, metavar="CONFIG...", nargs=-1, required=True)
@connected
def delete(connection: Connection, kind: str, name: str, configs: tuple[str, ...]) -> None:
    """Return configs to their defaults.

    `ottla config delete broker default CONFIG` takes away what all brokers share.
    """
    change(connection, kind, name, {}, configs)


def change(
    connection: Connection,
    kind: str,
    name: str,
    settings: Mapping[str, str],
    deletions: Iterable[str],
    *,
    validate_only: bool = False,
) -> None:
    if is_all_brokers(kind, name):
        cluster_default.alter(connection, settings, deletions, validate_only=validate_only)
    else:
        resource = resource_of(connection, kind, name)
        change_configs(connection.admin, resource, settings, deletions, validate_only=validate_only)


def is_all_brokers(kind: str, name: str) -> bool:
    return kind == "broker" and name == ALL_BROKERS


def resource_of(connection: Connection, kind: str, name: str) -> ConfigResource:
    """What configs belong to. That of a broker is asked for only where there is such a broker: librdkafka
    would wait for it to come.
    """
    from confluent_kafka.admin import ConfigResource

    if kind == "broker":
        if not re.fullmatch("[0-9]+", name):
            raise click.UsageError(f"{name!r} is no broker: it is named by its id, all by {ALL_BROKERS!r}.")
        known = {str(node.id) for node in wait(connection.admin.describe_cluster()).nodes}
        if name not in known:
            raise CommandError(f"there is no broker {name}, only {', '.join(sorted(known))}")
    return ConfigResource(ConfigResource.Type[kind.upper()], name)


def describe_resource(admin: AdminClient, resource: ConfigResource) -> list[dict[str, Any]]:
    """All configs of a resource, by name; sensitive values are None."""
    from confluent_kafka import KafkaException

    (future,) = admin.describe_configs([resource]).values()
    try:
        entries = wait(future)
    except KafkaException as error:
        raise CommandError(f"{resource.name}: {explain(error.args[0])}") from error
    return [
        shown_config(entry.name, entry.value, entry.source, entry.is_read_only)
        for entry in sorted(entries.values(), key=lambda entry: entry.name)
    ]


def describe_all_brokers(connection: Connection) -> list[dict[str, Any]]:
    return [shown_config(*entry) for entry in sorted(cluster_default.describe(connection))]


def shown_config(name: str, value: str | None, source: int, is_read_only: bool) -> dict[str, Any]:
    """A config as it is printed; `source` is Kafka's number, or what the client makes of it."""
    from confluent_kafka.admin import ConfigSource

    try:
        known = SOURCES.get(ConfigSource(source).name, "unknown")
    except ValueError:
        known = "unknown"
    return {"name": name, "value": value, "source": known, "read_only": is_read_only}


def change_configs(
    admin: AdminClient,
    resource: ConfigResource,
    settings: Mapping[str, str],
    deletions: Iterable[str],
    *,
    validate_only: bool = False,
) -> None:
    """Set some configs of a resource and return others to their defaults."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry

    changes = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    changes += [ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE) for name in deletions]
    for change in changes:
        resource.add_incremental_config(change)
    (future,) = admin.incremental_alter_configs([resource], validate_only=validate_only).values()
    try:
        wait(future)
    except KafkaException as error:
        raise CommandError(f"{resource.name}: {explain(error.args[0])}") from error
