"""`ottla token`: delegation tokens (KIP-48), by which programs come in somebody's name for a while."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ottla.cli.acls import PRINCIPAL
from ottla.cli.connection import Connection, connected
from ottla.cli.output import json_option, show_json, show_table

if TYPE_CHECKING:
    from ottla.client.admin.credentials import DelegationToken

F = TypeVar("F", bound=Callable[..., Any])
_HOUR_MS: Final = 3_600_000


@click.group()
def token() -> None:
    """Create, list, renew and expire delegation tokens."""


class _HmacType(click.ParamType[bytes]):
    name = "HMAC"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        if value == "-":
            value = sys.stdin.readline().strip()
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            self.fail("it is no HMAC in base64, as `ottla token create` shows it", param, ctx)


_hmac_argument = click.argument("hmac", metavar="HMAC", type=_HmacType())


def _hours(text: str) -> Callable[[F], F]:
    return click.option("--hours", type=click.FloatRange(min=0, min_open=True), metavar="NUMBER", help=text)


def _period_ms(hours: float | None) -> int:
    return -1 if hours is None else max(1, int(hours * _HOUR_MS))


@token.command()
@click.option(
    "--renewer", "renewers", type=PRINCIPAL, metavar="User:NAME", multiple=True, help="Who may renew it too."
)
@click.option("--owner", type=PRINCIPAL, metavar="User:NAME", help="Whose it is.  [default: who asks]")
@_hours("How long it may live at most.  [default: as the brokers let it]")
@json_option
@connected
def create(
    connection: Connection, renewers: Sequence[str], owner: str | None, hours: float | None, as_json: bool
) -> None:
    """Make a token. What it is shown by, its HMAC, is a secret."""
    made = connection.admin.credentials.create_token(
        renewers=renewers, owner=owner, max_lifetime_ms=_period_ms(hours)
    )
    _show([made], as_json, with_hmac=True)


@token.command(name="list")
@click.option("--owner", "owners", type=PRINCIPAL, metavar="User:NAME", multiple=True, help="Only of these.")
@click.option("--hmac", "with_hmac", is_flag=True, help="Show what they are shown by, their secrets.")
@json_option
@connected
def list_(connection: Connection, owners: Sequence[str], with_hmac: bool, as_json: bool) -> None:
    """List the tokens that one may see."""
    _show(connection.admin.credentials.describe_tokens(owners or None), as_json, with_hmac=with_hmac)


@token.command()
@_hmac_argument
@_hours("For how long from now.  [default: as the brokers have it]")
@connected
def renew(connection: Connection, hmac: bytes, hours: float | None) -> None:
    """Have a token live on. Where HMAC is -, it is read from stdin: others may see command lines."""
    click.echo(_time(connection.admin.credentials.renew_token(hmac, period_ms=_period_ms(hours))))


@token.command()
@_hmac_argument
@_hours("In how long.  [default: now]")
@connected
def expire(connection: Connection, hmac: bytes, hours: float | None) -> None:
    """Have a token end. Where HMAC is -, it is read from stdin: others may see command lines."""
    click.echo(_time(connection.admin.credentials.expire_token(hmac, period_ms=_period_ms(hours))))


def _show(tokens: Sequence[DelegationToken], as_json: bool, *, with_hmac: bool) -> None:
    rows = [
        {
            "id": each.token_id,
            **({"hmac": base64.b64encode(each.hmac).decode()} if with_hmac else {}),
            "owner": each.owner,
            "requester": each.requester,
            "renewers": list(each.renewers) if as_json else ", ".join(each.renewers),
            "issued": _time(each.issued_ms),
            "expires": _time(each.expires_ms),
            "until": _time(each.max_ms),
        }
        for each in sorted(tokens, key=lambda each: each.issued_ms)
    ]
    columns = [
        "id",
        *(["hmac"] if with_hmac else []),
        "owner",
        "requester",
        "renewers",
        "issued",
        "expires",
        "until",
    ]
    if as_json:
        show_json(rows)
    else:
        show_table(columns, rows)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
