"""`ottla config`: configs of topics, brokers, groups, and subscriptions to the metrics of clients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, PROPERTY
from ottla.cli.connection import CommandError, Connection, check_each, connected
from ottla.cli.options import together
from ottla.cli.output import json_option, show_json, show_table

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin
    from ottla.client.admin.configs import ConfigResource

ALL_BROKERS = "default"
TYPES = ["topic", "broker", "group", "client-metrics"]

SOURCES = {
    "DYNAMIC_TOPIC": "topic",
    "DYNAMIC_BROKER": "broker",
    "DYNAMIC_DEFAULT_BROKER": "all brokers",
    "STATIC_BROKER": "start",
    "DEFAULT": "default",
    "DYNAMIC_GROUP": "group",
}


@click.group()
def config() -> None:
    """Describe and change configs of topics, brokers, groups, and subscriptions to clients' metrics.

    A broker is named by its id, all brokers together by "default".
    """


on_resource = together(
    click.argument("kind", metavar="|".join(TYPES), type=click.Choice(TYPES)),
    click.argument("name", type=NAME),
)
"""They name what the configs belong to."""


@config.command()
@on_resource
@click.option("--all", "everything", is_flag=True, help="Show defaults too.")
@json_option
@connected
def describe(connection: Connection, kind: str, name: str, everything: bool, as_json: bool) -> None:
    """Show configs; those that were changed, or all of them.

    `ottla config describe broker default` shows what all brokers share.
    """
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
    resource = resource_of(connection, kind, name)
    change_configs(connection.admin, resource, settings, deletions, validate_only=validate_only)


def resource_of(connection: Connection, kind: str, name: str) -> ConfigResource:
    """What configs belong to; a broker that there is not is told with those that there are."""
    from ottla.client.admin.configs import ConfigKind, ConfigResource

    if kind == "broker" and name == ALL_BROKERS:
        return ConfigResource(ConfigKind.BROKER, "")
    if kind == "broker":
        if not re.fullmatch("[0-9]+", name):
            raise click.UsageError(f"{name!r} is no broker: it is named by its id, all by {ALL_BROKERS!r}.")
        known = {str(broker.node_id) for broker in connection.admin.cluster.describe().brokers}
        if name not in known:
            raise CommandError(f"there is no broker {name}, only {', '.join(sorted(known))}")
    return ConfigResource(ConfigKind[kind.upper().replace("-", "_")], name)


def describe_resource(admin: Admin, resource: ConfigResource) -> list[dict[str, Any]]:
    """All configs of a resource, by name; sensitive values are None."""
    (entries,) = check_each(admin.configs.describe([resource]), _named).values()
    return [
        {
            "name": entry.name,
            "value": entry.value,
            "source": SOURCES.get(entry.source.name, "unknown"),
            "read_only": entry.is_read_only,
        }
        for entry in sorted(entries.values(), key=lambda entry: entry.name)
    ]


def change_configs(
    admin: Admin,
    resource: ConfigResource,
    settings: Mapping[str, str],
    deletions: Iterable[str],
    *,
    validate_only: bool = False,
) -> None:
    """Set some configs of a resource and return others to their defaults."""
    from ottla.client.admin.configs import ConfigChange, ConfigOperation

    changes = [ConfigChange(name, value) for name, value in settings.items()]
    changes += [ConfigChange(name, None, ConfigOperation.DELETE) for name in deletions]
    check_each(admin.configs.alter({resource: changes}, validate_only=validate_only), _named)


def _named(resource: ConfigResource) -> str:
    return resource.name or "all brokers"
