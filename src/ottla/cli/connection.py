"""How commands reach a cluster: the options for it, clients, and errors in plain words."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from ottla.cli.arguments import PROPERTY
from ottla.cli.loading import loading
from ottla.cli.options import DEFAULT_BOOTSTRAP, bootstrap_option, command_config_option
from ottla.cli.properties import Properties, read_properties
from ottla.cli.signals import termination_unwinds

if TYPE_CHECKING:
    from ottla.cli.administration import Administration
    from ottla.client.admin.admin import Admin
    from ottla.client.admin.results import Results
    from ottla.client.connecting import AsyncClient
    from ottla.client.errors import ClientError
    from ottla.client.settings import ClientSettings

DEFAULT_PORT = 9092
MAX_PORT = 0xFFFF
TIMEOUT_MS = 30_000

Result = TypeVar("Result")


class CommandError(click.ClickException):
    """What went wrong, in one line for the person who called the command."""


@dataclass(frozen=True)
class Connection:
    """Where the cluster is and with which properties to talk to it."""

    bootstrap_servers: str
    properties: Properties

    @property
    def admin(self) -> Admin:
        """Admin calls; started with the first use."""
        return self._administration.admin

    @functools.cached_property
    def _administration(self) -> Administration:
        settings = self.settings()
        with loading():
            from ottla.cli.administration import Administration

        return Administration(settings)

    def run(self, work: Callable[[AsyncClient], Awaitable[Result]], *kinds: type[object]) -> Result:
        """What `work` gives with a client. `kinds` are of the settings that it takes beside the client's.
        Ctrl-C and SIGTERM cancel it.
        """
        settings = self.settings(*kinds)
        with loading():
            from ottla.cli.running import run_with_client

        return run_with_client(settings, work)

    def settings(self, *kinds: type[object]) -> ClientSettings:
        """Those of the client. UsageError for a property that neither it has nor one of `kinds`."""
        with loading():
            from ottla.client.settings import ClientSettings

        servers = addresses(self.bootstrap_servers)
        if not servers:
            raise CommandError(f"no broker answers at {self.bootstrap_servers}: no address given")
        self.properties.check(*kinds, ClientSettings)
        named = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in servers]
        return self.properties.client(named, client_id="ottla-cli", default_api_timeout_ms=TIMEOUT_MS)

    def close(self) -> None:
        """At the end of the command."""
        if "_administration" in self.__dict__:
            self._administration.close()


def addresses(bootstrap_servers: str) -> list[tuple[str, int]]:
    """Hosts and ports of a `bootstrap.servers` value: `[PROTOCOL://]HOST[:PORT],...`."""
    found = []
    for part in filter(None, (part.strip() for part in bootstrap_servers.split(","))):
        address = part.rpartition("://")[2]
        host, colon, port = address.rpartition(":")
        if not colon or address.endswith("]"):
            host, port = address, str(DEFAULT_PORT)
        if not re.fullmatch("[0-9]{1,5}", port) or int(port) > MAX_PORT:
            raise click.UsageError(f"{part!r} is no HOST:PORT")
        found.append((host.strip("[]"), int(port)))
    return found


def listen_address(text: str) -> tuple[str, int]:
    """The host and port of `--listen`."""
    found = addresses(text)
    if len(found) != 1:
        raise click.UsageError(f"{text!r} is no HOST:PORT")
    return found[0]


def connected(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that reach a cluster; it is called with a Connection first."""

    @bootstrap_option(DEFAULT_BOOTSTRAP)
    @command_config_option()
    @click.option(
        "-X",
        "properties",
        type=PROPERTY,
        metavar="NAME=VALUE",
        multiple=True,
        help="A property of the client; repeatable.",
    )
    @functools.wraps(command)
    def run(
        bootstrap_servers: str,
        config_file: str | None,
        properties: tuple[tuple[str, str], ...],
        **options: Any,
    ) -> Any:
        connection = _connection(bootstrap_servers, config_file, dict(properties))
        with termination_unwinds(), contextlib.closing(connection):
            return command(connection, **options)

    return run


def _connection(bootstrap_servers: str, file: str | None, given: dict[str, str]) -> Connection:
    """Servers are those of `-X`, of the option, of the file, of the environment, or the default."""
    properties = Properties(given, read_properties(file) if file is not None else None)
    of_line, of_file = properties.bootstrap_servers
    source = click.get_current_context().get_parameter_source("bootstrap_servers")
    if of_file is not None and source is not ParameterSource.COMMANDLINE:
        bootstrap_servers = of_file
    return Connection(bootstrap_servers if of_line is None else of_line, properties)


def check_each(results: Results[Any, Result], name: Callable[[Any], str] = str) -> dict[Any, Result]:
    """The results of a call about several things. Those that failed are told on stderr before it fails."""
    failures = [f"{name(key)}: {in_words(error)}" for key, error in results.errors.items()]
    for failure in failures[:-1]:
        click.echo(f"ottla: {failure}", err=True)
    if failures:
        raise CommandError(failures[-1])
    return results.succeeded


def in_words(error: ClientError) -> str:
    """An error of our client as one line."""
    from ottla.client.errors import BrokerError

    if error.code is None:
        return " ".join(str(error).split())
    reason = error.reason if isinstance(error, BrokerError) else None
    return " ".join((reason or error.code.name.replace("_", " ").capitalize()).split())
