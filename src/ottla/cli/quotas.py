"""`ottla quota`: how much users, clients and addresses may take (KIP-13, KIP-546, KIP-599, KIP-612)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from ottla.cli.arguments import NAME
from ottla.cli.connection import Connection, check_each, connected
from ottla.cli.options import together
from ottla.cli.output import json_option, show_json, show_table

if TYPE_CHECKING:
    from ottla.client.admin.quotas import QuotaEntity

_DEFAULT: Final = "<default>"
"""As Kafka's tools show the entity that stands for all that have none of their own"""
_QUOTAS: Final = (
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
    "connection_creation_rate",
)

Setting = tuple[str, float]


class SettingType(click.ParamType[Setting]):
    """`QUOTA=NUMBER`."""

    name = "quota=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Setting:
        if isinstance(value, tuple):
            return value
        name, _, number = value.partition("=")
        if name not in _QUOTAS:
            self.fail(f"{name!r} is none of {', '.join(_QUOTAS)}", param, ctx)
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if not (math.isfinite(amount) and amount > 0):
            self.fail(f"{number!r} is no number above 0", param, ctx)
        return name, amount


@click.group()
def quota() -> None:
    """Set, list and remove quotas: how much users, clients and addresses may take.

    producer_byte_rate and consumer_byte_rate are bytes a second, request_percentage a share of the broker's
    time, controller_mutation_rate partitions created and deleted a second: of users, client ids, and both
    together. connection_creation_rate is connections a second, of addresses.
    """


of_entities = together(
    click.option("--user", type=NAME, metavar="NAME", help="A user."),
    click.option("--user-default", is_flag=True, help="Each user without a quota of his own."),
    click.option("--client-id", type=NAME, metavar="NAME", help="A client id."),
    click.option("--client-id-default", is_flag=True, help="Each client id without one of its own."),
    click.option("--ip", type=NAME, metavar="ADDRESS", help="An address."),
    click.option("--ip-default", is_flag=True, help="Each address without one of its own."),
)
"""They name whose quotas are meant."""


@quota.command(name="list")
@of_entities
@click.option("--strict", is_flag=True, help="None of what is named by other options, too.")
@json_option
@connected
def list_(connection: Connection, strict: bool, as_json: bool, **named: Any) -> None:
    """List quotas: all, or of those that are named."""
    match = _parts(_entity(**named))
    found = connection.admin.quotas.describe(match, strict=strict)
    rows = [
        {
            **{kind.replace("-", "_"): _shown(entity, kind) for kind in ("user", "client-id", "ip")},
            "quota": name,
            "value": int(value) if value.is_integer() else value,
        }
        for entity, quotas in found.items()
        for name, value in quotas.items()
    ]
    rows.sort(key=lambda row: [str(each) for each in row.values()])
    if as_json:
        show_json(rows)
    else:
        show_table(["user", "client id", "ip", "quota", "value"], rows)


@quota.command(name="set")
@click.argument("settings", type=SettingType(), metavar="QUOTA=NUMBER...", nargs=-1, required=True)
@of_entities
@click.option("--validate-only", is_flag=True, help="Only check whether it could be done.")
@connected
def set_(connection: Connection, settings: Sequence[Setting], validate_only: bool, **named: Any) -> None:
    """Set quotas, the others stay."""
    _alter(connection, _entity(**named), dict(settings), validate_only=validate_only)


@quota.command()
@click.argument("names", type=click.Choice(_QUOTAS), metavar="QUOTA...", nargs=-1)
@of_entities
@connected
def remove(connection: Connection, names: Sequence[str], **named: Any) -> None:
    """Remove quotas of an entity; all that it has if none is named."""
    entity = _entity(**named)
    if not entity:
        raise click.UsageError("Say whose: --user, --client-id, --ip, or a default.")
    if not names:
        found = connection.admin.quotas.describe(_parts(entity), strict=True)
        names = [name for quotas in found.values() for name in quotas]
    _alter(connection, entity, dict.fromkeys(names), validate_only=False)


def _alter(
    connection: Connection, entity: QuotaEntity, changes: dict[str, Any], *, validate_only: bool
) -> None:
    if not entity:
        raise click.UsageError("Say whose: --user, --client-id, --ip, or a default.")
    if changes:
        check_each(connection.admin.quotas.alter({entity: changes}, validate_only=validate_only), _named)


def _entity(
    *,
    user: str | None,
    user_default: bool,
    client_id: str | None,
    client_id_default: bool,
    ip: str | None,
    ip_default: bool,
) -> QuotaEntity:
    parts: list[tuple[str, str | None]] = []
    for kind, name, is_default in (
        ("user", user, user_default),
        ("client-id", client_id, client_id_default),
        ("ip", ip, ip_default),
    ):
        if name is not None and is_default:
            raise click.UsageError(f"--{kind} and --{kind}-default exclude one another.")
        if name is not None or is_default:
            parts.append((kind, name))
    return frozenset(parts)


def _shown(entity: QuotaEntity, kind: str) -> str | None:
    parts = _parts(entity)
    return _DEFAULT if kind in parts and parts[kind] is None else parts.get(kind)


def _named(entity: QuotaEntity) -> str:
    return " ".join(f"{kind} {_DEFAULT if name is None else name}" for kind, name in _parts(entity).items())


def _parts(entity: QuotaEntity) -> dict[str, str | None]:
    return dict(sorted(entity, key=lambda part: part[0]))
