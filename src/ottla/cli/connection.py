"""How commands reach a cluster: the options for it, clients with quiet logs, and errors in plain words.

`produce` and `consume` go through librdkafka, all other commands through `ottla.client`.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ottla.cli.arguments import PROPERTY, TEXT
from ottla.cli.loading import loading
from ottla.cli.signals import termination_unwinds

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import Consumer, KafkaError, Producer
    from confluent_kafka.admin import AdminClient

    from ottla.cli.administration import Administration
    from ottla.client.admin.admin import Admin
    from ottla.client.admin.results import Results
    from ottla.client.errors import ClientError

DEFAULT_BOOTSTRAP = "127.0.0.1:9092"
DEFAULT_PORT = 9092
MAX_PORT = 0xFFFF
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
RECORD_MAX_BYTES = 1_000_000  # librdkafka's default of message.max.bytes

Result = TypeVar("Result")


class CommandError(click.ClickException):
    """What went wrong, in one line for the person who called the command."""


@dataclass(frozen=True)
class Connection:
    """Where the cluster is and with which properties to talk to it."""

    bootstrap_servers: str
    properties: tuple[tuple[str, str], ...] = ()

    def config(self, **settings: Any) -> dict[str, Any]:
        """Properties of a client: ours (`_` for `.`, but in callbacks), then the caller's, which win."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "ottla-cli",
            "log_level": 0,  # what matters comes back as an error
        }
        for name, value in settings.items():
            config[name if name.startswith("on_") else name.replace("_", ".")] = value
        return {**config, **dict(self.properties)}

    @property
    def record_max_bytes(self) -> int:
        """How large a record the client sends."""
        value = dict(self.properties).get("message.max.bytes", "")
        return int(value) if value.isdecimal() else RECORD_MAX_BYTES

    @property
    def admin(self) -> Admin:
        """Admin calls; started with the first use."""
        return self._administration.admin

    @functools.cached_property
    def _administration(self) -> Administration:
        servers = addresses(self.config()["bootstrap.servers"])
        if not servers:
            raise CommandError(f"no broker answers at {self.config()['bootstrap.servers']}: no address given")
        with loading():
            from ottla.cli.administration import Administration, BrokerUnreachableError
        try:
            return Administration(servers, dict(self.properties))
        except BrokerUnreachableError as error:
            self.connect().close()
            raise CommandError(str(error)) from error

    def close(self) -> None:
        """At the end of the command."""
        if "_administration" in self.__dict__:
            self._administration.close()

    @functools.cached_property
    def confluent_admin(self) -> AdminClient:
        """Kept for the whole command: librdkafka drops what a client still has under way when it goes."""
        from confluent_kafka.admin import AdminClient

        return self._client(AdminClient, self.config())

    def producer(self, **settings: Any) -> Producer:
        from confluent_kafka import Producer

        return self._client(Producer, {"error_cb": tell_outage, **self.config(**settings)})

    def consumer(self, **settings: Any) -> Consumer:
        from confluent_kafka import Consumer

        return self._client(Consumer, {"error_cb": tell_outage, **self.config(**settings)})

    def _client(self, kind: Callable[[dict[str, Any]], Result], config: dict[str, Any]) -> Result:
        self.connect().close()
        from confluent_kafka import KafkaException

        try:
            return kind(config)
        except KafkaException as error:
            raise click.UsageError(str(error.args[0].str())) from error
        except (TypeError, ValueError) as error:  # -X with a property that is no text, such as a callback
            raise click.UsageError(str(error)) from error

    def connect(self) -> socket.socket:
        """A connection to the first broker that answers; CommandError has the last one's reason not to.
        Asked for before each client of librdkafka, to refuse at once what that would try until its timeouts.
        """
        servers = self.config()["bootstrap.servers"]
        problem = "no address given"
        for host, port in addresses(servers):
            try:
                return socket.create_connection((host, port), CONNECT_TIMEOUT_S)
            except OSError as error:
                problem = error.strerror or str(error)
            except UnicodeError:
                problem = f"{host!r} is no name of a host"
        raise CommandError(f"no broker answers at {servers}: {problem}")


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


def connected(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that reach a cluster; it is called with a Connection first."""

    @click.option(
        "--bootstrap-server",
        "-b",
        "bootstrap_servers",
        type=TEXT,
        metavar="HOST:PORT[,...]",
        default=DEFAULT_BOOTSTRAP,
        envvar="OTTLA_BOOTSTRAP_SERVERS",
        show_default=True,
        show_envvar=True,
        help="Brokers to start from.",
    )
    @click.option(
        "-X",
        "properties",
        type=PROPERTY,
        metavar="NAME=VALUE",
        multiple=True,
        help="A property of the client; repeatable.",
    )
    @functools.wraps(command)
    def run(bootstrap_servers: str, properties: tuple[tuple[str, str], ...], **options: Any) -> Any:
        connection = Connection(bootstrap_servers, properties)
        with termination_unwinds(), contextlib.closing(connection):
            return command(connection, **options)

    return run


def wait(future: Future[Result]) -> Result:
    """The result of an admin request."""
    try:
        return future.result(REQUEST_TIMEOUT_S)
    except TimeoutError as error:
        raise CommandError(f"the cluster did not answer within {REQUEST_TIMEOUT_S:.0f} s") from error


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


def tell_outage(error: KafkaError) -> None:
    """Say that the client waits for brokers to come back. It calls this once for each outage."""
    if error.code() == error._ALL_BROKERS_DOWN:  # noqa: SLF001
        click.echo(f"ottla: {explain(error)}, trying again", err=True)


def explain(error: KafkaError) -> str:
    """An error of Kafka as one line."""
    from confluent_kafka import KafkaError as Code

    if error.code() in (Code._ALL_BROKERS_DOWN, Code._TRANSPORT, Code._TIMED_OUT):  # noqa: SLF001
        return f"the cluster does not answer ({error.str()})"
    message = " ".join(error.str().split())
    return message.removeprefix("Broker: ").removeprefix("Local: ")
