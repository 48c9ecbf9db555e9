"""Settings of Kafka's clients, as `-X NAME=VALUE` and `--command-config FILE` give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from ottla.client.consumer.settings import ConsumerSettings
    from ottla.client.producer.settings import ProducerSettings
    from ottla.client.settings import ClientSettings

S = TypeVar("S")

_BATCH_OVERHEAD: Final = 128
"""What is around the key, value and headers of a record in a batch of its own."""

_RENAMED: Final = {
    "metadata.broker.list": "bootstrap.servers",
    "basic.auth.user.info": "schema.registry.basic.auth.user.info",
    "bearer.auth.token": "schema.registry.bearer.auth.token",
    "sasl.mechanisms": "sasl.mechanism",
    "socket.timeout.ms": "request.timeout.ms",
    "compression.codec": "compression.type",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "message.max.bytes": "max.request.size",
    "message.send.max.retries": "retries",
    "message.timeout.ms": "delivery.timeout.ms",
    "queue.buffering.max.ms": "linger.ms",
    "request.required.acks": "acks",
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "fetch.wait.max.ms": "fetch.max.wait.ms",
}
"""What librdkafka, and clients of registries, call differently."""

_STORES: Final = {
    "schema.registry.ssl.truststore": ("schema.registry.ssl.ca.location",),
    "schema.registry.ssl.keystore": (
        "schema.registry.ssl.certificate.location",
        "schema.registry.ssl.key.location",
    ),
}
"""Java's stores for registries, of which those of PEM (KIP-651) are files that any client reads."""


class Properties:
    """Those of the command line, and those of a file, which serves all kinds of clients: what none of ours
    has is left out there, and an error here. They go before defaults, and the command line before the file.
    """

    def __init__(self, given: Mapping[str, str], of_file: Mapping[str, str] | None = None) -> None:
        self._given = _ours(given)
        self._of_file = _ours(of_file or {})

    @property
    def bootstrap_servers(self) -> tuple[str | None, str | None]:
        """Those of the command line's properties, and the file's."""
        return self._given.get("bootstrap.servers"), self._of_file.get("bootstrap.servers")

    def client(self, servers: Sequence[str], **defaults: object) -> ClientSettings:
        """Of a client that begins with these servers. `defaults` have `_` for `.`."""
        from ottla.client.settings import ClientSettings

        return self._parse(
            ClientSettings, {**self.of(ClientSettings, **defaults), "bootstrap.servers": servers}
        )

    def producer(self, **defaults: object) -> ProducerSettings:
        from ottla.client.producer.settings import ProducerSettings

        return self._parse(ProducerSettings, self.of(ProducerSettings, **defaults))

    def consumer(self, **defaults: object) -> ConsumerSettings:
        from ottla.client.consumer.settings import ConsumerSettings

        return self._parse(ConsumerSettings, self.of(ConsumerSettings, **defaults))

    def of(self, kind: type[object], **defaults: object) -> dict[str, object]:
        """Those that this kind of settings has, by Kafka's names."""
        from ottla.client.settings import dotted, names_of

        names = names_of(kind)
        chosen: dict[str, object] = {dotted(name): value for name, value in defaults.items()}
        for source in (self._of_file, self._given):
            chosen |= {name: value for name, value in source.items() if name in names}
        return chosen

    def check(self, *kinds: type[object]) -> None:
        """UsageError where the command line has a property that none of these kinds of settings has."""
        from ottla.client.errors import ConfigurationError
        from ottla.client.settings import names_of, parse

        known = {name for kind in kinds for name in names_of(kind)}
        unknown = {name: value for name, value in self._given.items() if name not in known}
        try:
            parse(kinds[-1], unknown)
        except ConfigurationError as error:
            raise click.UsageError(f"-X: {error}") from error

    def _parse(self, kind: type[S], chosen: Mapping[str, object]) -> S:
        from ottla.client.errors import ConfigurationError
        from ottla.client.settings import parse

        try:
            return parse(kind, chosen)
        except ConfigurationError as error:
            raise click.UsageError(f"-X: {error}" if not self._of_file else str(error)) from error


def read_properties(path: str) -> dict[str, str]:
    """A properties file of Kafka's clients; UsageError where it is none."""
    from ottla.config.definition import ConfigError
    from ottla.config.properties import parse_properties

    try:
        with open(path, encoding="utf-8") as file:
            return {entry.name: entry.value.strip() for entry in parse_properties(file.read())}
    except ConfigError as error:
        raise click.UsageError(f"{path}:{error}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path}: it is not UTF-8") from error


def _ours(given: Mapping[str, str]) -> dict[str, str]:
    """By the names that our client has."""
    named: dict[str, str] = {}
    for name, value in given.items():
        if name == "queue.buffering.max.kbytes":
            name, value = "buffer.memory", f"{value}000" if value.isdecimal() else value
        store = name.rpartition(".")[0]
        if name.endswith(".location") and store in _STORES:
            if given.get(f"{store}.type", "").upper() != "PEM":
                raise click.UsageError(f"{name}: only PEM is read, with {store}.type=PEM")
            named |= dict.fromkeys(_STORES[store], value)
        elif store not in _STORES or name not in (f"{store}.type", f"{store}.password"):
            named[_RENAMED.get(name, name)] = value
    return named


def record_max_bytes(settings: ProducerSettings) -> int:
    """How many bytes a record's key, value and headers may have."""
    return max(settings.max_request_size - _BATCH_OVERHEAD, 0)
