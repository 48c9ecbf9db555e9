"""The registry as a process of its own."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.client.settings import ClientSettings, parse
from ottla.http.process import run_process as run_server
from ottla.registry.server.assembly import Registry
from ottla.registry.settings import RegistrySettings


def run_process(
    host: str,
    port: int,
    client: Mapping[str, object],
    settings: Mapping[str, object],
    *,
    verbose: bool = False,
) -> int:
    """Run a registry until SIGINT or SIGTERM; returns the process's exit code."""

    def make() -> Registry:
        return Registry(parse(ClientSettings, client), parse(RegistrySettings, settings), host, port)

    return run_server("ottla registry", make, verbose=verbose)
