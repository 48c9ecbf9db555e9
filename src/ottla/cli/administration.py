"""Our client inside a command: an event loop that runs only while a call is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import click

from ottla.client.admin.admin import Admin, AsyncAdmin
from ottla.client.errors import BrokerUnreachableError, ConfigurationError
from ottla.client.net.cluster import Cluster
from ottla.client.settings import ClientSettings, parse

__all__ = ["Administration", "BrokerUnreachableError"]

_TIMEOUT_MS: Final = 30_000
_DEFAULTS: Final = {"client.id": "ottla-cli", "default.api.timeout.ms": _TIMEOUT_MS}


class Administration:
    """A cluster and the admin calls on it, until it is closed."""

    def __init__(self, servers: Iterable[tuple[str, int]], properties: Mapping[str, str]) -> None:
        """`servers` go before those in `properties`, which are Kafka's settings of clients.

        Raises BrokerUnreachableError where none of them answers.
        """
        named = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in servers]
        try:
            settings = parse(ClientSettings, {**_DEFAULTS, **properties, "bootstrap.servers": named})
        except ConfigurationError as error:
            raise click.UsageError(f"-X: {error}") from error
        self._runner = asyncio.Runner()
        self._cluster = Cluster(settings)
        try:
            self._runner.run(self._cluster.start())
        except BaseException:
            self._runner.close()
            raise
        self.admin = Admin(AsyncAdmin(self._cluster), self._runner.run)

    def close(self) -> None:
        try:
            self._runner.run(self._cluster.close())
        finally:
            self._runner.close()
