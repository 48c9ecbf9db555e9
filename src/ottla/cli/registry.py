"""`ottla registry`: the schema registry in the foreground, and hashes of its users' passwords."""

from __future__ import annotations

import os
import sys

import click

from ottla.cli.arguments import TEXT
from ottla.cli.connection import listen_address
from ottla.cli.loading import loading
from ottla.cli.options import (
    DEFAULT_BOOTSTRAP,
    bootstrap_option,
    command_config_option,
    config_option,
    set_option,
)
from ottla.cli.properties import Properties, read_properties

_DEFAULT_LISTEN = "127.0.0.1:8081"


@click.group(name="registry")
def registry() -> None:
    """A schema registry with the API of Confluent's, on any Kafka cluster."""


@registry.command(name="serve")
@bootstrap_option()
@click.option(
    "--listen",
    type=TEXT,
    metavar="HOST:PORT",
    default=_DEFAULT_LISTEN,
    show_default=True,
    help="Address to listen on; port 0 picks a free one.",
)
@command_config_option("command_config")
@config_option("Properties of the registry.")
@set_option("One property of the registry; repeatable.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def serve(
    bootstrap_servers: str | None,
    listen: str,
    command_config: str | None,
    config_file: str | None,
    assignments: tuple[tuple[str, str], ...],
    verbose: bool,
) -> None:
    """Run a schema registry until Ctrl-C or SIGTERM.

    Several that name the same topic and group are one registry: one writes, the others hand on. When it
    answers requests it prints one line with "ready" and its address.
    """
    host, port = listen_address(listen)
    with loading():
        from ottla.client.settings import ClientSettings

        try:
            from ottla.registry.process import run_process
        except ImportError as error:
            raise click.ClickException(
                f"the registry needs {error.name}: pip install 'ottla[registry]'"
            ) from error
    properties = Properties({}, None if command_config is None else read_properties(command_config))
    defaults = {"client_id": "ottla-registry", "bootstrap_servers": DEFAULT_BOOTSTRAP}
    client = properties.of(ClientSettings, **defaults)
    if bootstrap_servers is not None:
        client["bootstrap.servers"] = bootstrap_servers
    settings: dict[str, object] = {} if config_file is None else dict(read_properties(config_file))
    raise SystemExit(run_process(host, port, client, settings | dict(assignments), verbose=verbose))


@registry.command(name="password")
def password() -> None:
    """Read a password from the terminal or from standard input, and print its hash for the file of users."""
    with loading():
        from ottla.http.basic import hash_password
    if sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise click.UsageError("the password is empty")
    click.echo(hash_password(given, os.urandom(16)))
