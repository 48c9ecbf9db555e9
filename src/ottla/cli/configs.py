"""`ottla config`: configs of topics, brokers and groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, PROPERTY
from ottla.cli.connection import CommandError, Connection, connected, explain, wait
from ottla.cli.output import json_option, show_json, show_table

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, ConfigResource

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
    """Describe and change configs of topics, brokers and groups. A broker is named by its id."""


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
    """Show configs; those that were changed, or all of them."""
    configs = describe_resource(connection.admin, resource_of(kind, name))
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
    """Change configs, the others stay."""
    resource = resource_of(kind, name)
    change_configs(connection.admin, resource, dict(settings), (), validate_only=validate_only)


@config.command()
@on_resource
@click.argument("configs", type=NAME, metavar="CONFIG...", nargs=-1, required=True)
@connected
def delete(connection: Connection, kind: str, name: str, configs: tuple[str, ...]) -> None:
    """Return configs to their defaults."""
    change_configs(connection.admin, resource_of(kind, name), {}, configs)


def resource_of(kind: str, name: str) -> ConfigResource:
    from confluent_kafka.admin import ConfigResource

    return ConfigResource(ConfigResource.Type[kind.upper()], name)


def describe_resource(admin: AdminClient, resource: ConfigResource) -> list[dict[str, Any]]:
    """All configs of a resource, by name; sensitive values are None."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigSource

    (future,) = admin.describe_configs([resource]).values()
    try:
        entries = wait(future)
    except KafkaException as error:
        raise CommandError(f"{resource.name}: {explain(error.args[0])}") from error
    return [
        {
            "name": entry.name,
            "value": entry.value,
            "source": SOURCES.get(ConfigSource(entry.source).name, "unknown"),
            "read_only": entry.is_read_only,
        }
        for entry in sorted(entries.values(), key=lambda entry: entry.name)
    ]


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
