"""`ottla user`: who may come, with which password (SCRAM, KIP-554)."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, TEXT, is_utf8
from ottla.cli.connection import CommandError, Connection, check_each, connected, in_words
from ottla.cli.loading import loading
from ottla.cli.options import config_option, set_option
from ottla.cli.output import json_option, show_json, show_table
from ottla.protocol.codes import ScramMechanism

if TYPE_CHECKING:
    from ottla.broker.unserved import Where

_MECHANISMS = {each.mechanism: each for each in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)}
_DEFAULT_MECHANISM = ScramMechanism.SCRAM_SHA_512.mechanism
_MIN_ITERATIONS, _MAX_ITERATIONS = 4096, 16384
_PASSWORD_MAX_BYTES = 64 * 1024


@click.group()
def user() -> None:
    """Add, list and remove users and what is kept of their passwords (SCRAM).

    With --data or --metadata the metadata is changed where it is, without a broker: so the first user comes
    to be before any listener asks for one.
    """


def unserved(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that name metadata which no broker has to serve."""

    @click.option(
        "--data", type=TEXT, metavar="DIR", help="Data folder of a node that does not run; made on first use."
    )
    @click.option(
        "--metadata",
        type=TEXT,
        metavar="URL",
        help="A cluster's store: etcd://HOST:PORT[,HOST:PORT]/CLUSTER.",
    )
    @config_option("The server.properties or TOML file of a node that does not run.", name="settings_file")
    @set_option("One of its settings.")
    @functools.wraps(command)
    def run(
        connection: Connection,
        data: str | None,
        metadata: str | None,
        settings_file: str | None,
        assignments: tuple[tuple[str, str], ...],
        **options: Any,
    ) -> Any:
        where = None
        if data is not None or metadata is not None or settings_file is not None or assignments:
            with loading():
                from ottla.broker.unserved import UnservedError, Where
            where = Where(data, metadata, settings_file, [f"{name}={value}" for name, value in assignments])
            try:
                return command(connection, where, **options)
            except UnservedError as error:
                raise CommandError(str(error)) from error
        return command(connection, where, **options)

    return run


mechanism_choice = click.Choice(list(_MECHANISMS), case_sensitive=False)


@user.command(name="list")
@json_option
@connected
@unserved
def list_(connection: Connection, where: Where | None, as_json: bool) -> None:
    """List users with their mechanisms."""
    rows = [
        {"user": name, "mechanism": mechanism.mechanism, "iterations": iterations}
        for name, mechanism, iterations in sorted(_known(connection, where))
    ]
    if as_json:
        show_json(rows)
    else:
        show_table(["user", "mechanism", "iterations"], rows)


@user.command()
@click.argument("name", type=NAME)
@click.option(
    "--mechanism",
    "mechanisms",
    type=mechanism_choice,
    multiple=True,
    default=[_DEFAULT_MECHANISM],
    show_default=True,
    help="How the user proves to know the password; repeatable.",
)
@click.option(
    "--iterations",
    type=click.IntRange(_MIN_ITERATIONS, _MAX_ITERATIONS),
    default=_MIN_ITERATIONS,
    show_default=True,
    help="How much work a guess at the password is.",
)
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Whose first line is the password; - is standard input.  [default: asked for, or -]",
)
@click.option(
    "--password", type=TEXT, metavar="TEXT", help="The password, where others can see it: rather not."
)
@connected
@unserved
def add(
    connection: Connection,
    where: Where | None,
    name: str,
    mechanisms: Sequence[str],
    iterations: int,
    password_file: str | None,
    password: str | None,
) -> None:
    """Add a user, or give one another password."""
    text = _password(password, password_file)
    for mechanism in dict.fromkeys(_MECHANISMS[each.upper()] for each in mechanisms):
        _set(connection, where, name, mechanism, text, iterations)
        click.echo(f"{name} may come with {mechanism.mechanism}")


@user.command()
@click.argument("names", metavar="NAME...", type=NAME, nargs=-1, required=True)
@click.option(
    "--mechanism",
    "mechanisms",
    type=mechanism_choice,
    multiple=True,
    help="Only for this one; repeatable.  [default: all that the user has]",
)
@connected
@unserved
def remove(
    connection: Connection, where: Where | None, names: Sequence[str], mechanisms: Sequence[str]
) -> None:
    """Remove users, who may come no more. Connections that they have stay until they end."""
    chosen = {_MECHANISMS[each.upper()] for each in mechanisms} or set(_MECHANISMS.values())
    known = _known(connection, where)
    had = {name: sorted(each for user, each, _ in known if user == name) for name in names}
    for name, theirs in had.items():
        if not chosen.intersection(theirs):
            raise CommandError(f"{name} has no such credential" if theirs else f"there is no user {name}")
    for name, theirs in had.items():
        for mechanism in theirs:
            if mechanism in chosen:
                _set(connection, where, name, mechanism, None, 0)
                click.echo(f"{name} may not come with {mechanism.mechanism} any more")


def _known(connection: Connection, where: Where | None) -> list[tuple[str, ScramMechanism, int]]:
    if where is not None:
        from ottla.broker.unserved import users

        return [(name, mechanism, iterations) for (mechanism, name), iterations in users(where).items()]
    described = check_each(connection.admin.credentials.describe_scram())
    return [
        (name, credential.mechanism, credential.iterations)
        for name, credentials in described.items()
        for credential in credentials
    ]


def _set(
    connection: Connection,
    where: Where | None,
    name: str,
    mechanism: ScramMechanism,
    password: str | None,
    iterations: int,
) -> None:
    """Set a credential, or take it away. A request takes one change of each user, so they go one by one."""
    if where is not None:
        from ottla.broker.unserved import Password, change_user

        wanted = None if password is None else Password(password, iterations)
        refusal = change_user(where, name, mechanism, wanted)
    else:
        from ottla.client.admin.credentials import ScramDeletion, ScramUpsertion

        change = (
            ScramDeletion(mechanism) if password is None else ScramUpsertion(mechanism, password, iterations)
        )
        error = connection.admin.credentials.alter_scram({name: change}).errors.get(name)
        refusal = None if error is None else in_words(error)
    if refusal is not None:
        raise CommandError(f"{name}: {refusal}")


def _password(given: str | None, file: str | None) -> str:
    if given is not None:
        if file is not None:
            raise click.UsageError("--password and --password-file exclude one another.")
        click.echo(
            "ottla: warning: a password on the command line is seen by others of this machine, and kept in "
            "the shell's history",
            err=True,
        )
        password = given
    elif file is not None and file != "-":
        with Path(file).open("rb") as opened:
            password = os.fsdecode(opened.read(_PASSWORD_MAX_BYTES).partition(b"\n")[0]).removesuffix("\r")
    elif file is None and sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        line = sys.stdin.buffer.readline(_PASSWORD_MAX_BYTES)
        password = os.fsdecode(line.rstrip(b"\r\n"))
    if not password:
        raise click.UsageError("The password is empty.")
    if not is_utf8(password):
        raise click.UsageError("The password is not UTF-8.")
    return password
