"""A worker as a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ottla.connect.assembly import ConnectWorker
from ottla.connect.worker.configs import Config
from ottla.connect.worker.settings import worker_config
from ottla.http.process import run_process


def run_worker(
    host: str,
    port: int,
    properties: Mapping[str, str],
    *,
    is_distributed: bool,
    connectors: Sequence[Config] = (),
    verbose: bool = False,
) -> int:
    """Run it until SIGINT or SIGTERM; returns the process's exit code."""

    def make() -> ConnectWorker:
        config = worker_config(properties, is_distributed=is_distributed)
        return ConnectWorker(config, host, port, is_distributed=is_distributed, connectors=connectors)

    return run_process("ottla connect", make, verbose=verbose)
