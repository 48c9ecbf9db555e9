"""A broker as a process of its own: settings in, one `ready` line out, signals, exit codes."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.config.load import Sources, load_settings
from ottla.config.monitoring import MonitoringConfig, metrics_address
from ottla.metadata.transaction import MetadataFormatError
from ottla.protocol.errors import KafkaError
from ottla.replica.data_dir import DataDirError
from ottla.storage.checkpoints import CorruptCheckpointError, DirectoryLockedError
from ottla.store.interface import StoreError

if TYPE_CHECKING:
    from ottla.broker.monitoring.page import Page

log = logging.getLogger(__name__)

EXIT_OK, EXIT_FAILURE, EXIT_USAGE = 0, 1, 2


def run_process(
    options: Options, config_file: str | None, assignments: Sequence[str], *, verbose: bool = False
) -> int:
    """Run a broker until SIGINT or SIGTERM; returns the process's exit code."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    _allow_many_descriptors()
    try:
        settings = load_broker_settings(options, config_file, assignments)
    except (ConfigError, OSError) as error:
        return _fail(error, EXIT_USAGE)
    if settings.config.ottla_log_format == "json":
        from ottla.broker.loggers import JsonFormatter  # only where it is asked for

        for handler in logging.root.handlers:
            handler.setFormatter(JsonFormatter())
    try:
        uvloop.run(_serve(settings))
    except ConfigError as error:
        return _fail(error, EXIT_USAGE)
    except (
        DataDirError,
        DirectoryLockedError,
        CorruptCheckpointError,
        StoreError,
        MetadataFormatError,
        KafkaError,
        OSError,
    ) as error:
        return _fail(error, EXIT_FAILURE)
    except KeyboardInterrupt:
        return EXIT_OK
    return EXIT_OK


def _allow_many_descriptors() -> None:
    """Connections and logs need them; where a broker is but a part of the process, its limit is not ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _fail(error: Exception, code: int) -> int:
    sys.stderr.write(f"ottla: {error}\n")
    return code


class Options(NamedTuple):
    """The settings that `ottla serve` has options for; None for one that is not given."""

    data: str | None = None
    listen: str | None = None
    node_id: int | None = None
    metadata: str | None = None
    metrics: str | None = None

    def settings(self) -> dict[str, tuple[str, str]]:
        """By Kafka's names, with the option that each comes from. Raises ConfigError."""
        data, listen = self.data, self.listen
        if data is not None and "," in data:
            raise ConfigError(f"--data {data}: it is one folder; several are --set log.dirs={data}")
        if listen is not None and "://" not in listen:
            listen = f"PLAINTEXT://{listen}"
        settings = {
            "log.dirs": (data, "--data"),
            "listeners": (listen, "--listen"),
            "node.id": (None if self.node_id is None else str(self.node_id), "--node-id"),
            "ottla.metadata.store": (self.metadata, "--metadata"),
            "ottla.metrics.listener": (self.metrics, "--metrics"),
        }
        return {name: (text, option) for name, (text, option) in settings.items() if text is not None}


def load_broker_settings(
    options: Options, config_file: str | None, assignments: Sequence[str]
) -> BrokerSettings:
    """What the options of `ottla serve` and the environment come to. Raises ConfigError and OSError."""
    file = None
    if config_file:
        from pathlib import Path  # only for this: a start without a file is 5 ms shorter

        file = Path(config_file)
    loaded = load_settings(Sources(file, os.environ, assignments, options.settings()))
    for line in loaded.unknown:
        log.warning("%s", line)
    for name in loaded.without_effect:
        log.info("%s has no effect here", name)
    return BrokerSettings(loaded.config, BrokerLayers(static=loaded.static))


async def _serve(settings: BrokerSettings) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    broker = Broker(settings)
    page = _show(broker, settings.config)
    try:
        await _run(broker, stopping)
    finally:
        if page is not None:
            page.stop()


def _show(broker: Broker, config: MonitoringConfig) -> Page | None:
    """Its metrics, where they are asked for. Raises OSError for an address in use."""
    address = metrics_address(config.ottla_metrics_listener)
    if address is None:
        return None
    from ottla.broker.monitoring.page import Page  # 10 MB and 0.1 s that a broker without it does not need

    page = Page(broker.monitor, *address)
    log.info("metrics are on http://%s:%d/metrics", _shown(page.address[0]), page.address[1])
    return page


async def _run(broker: Broker, stopping: asyncio.Event) -> None:
    # A start may take long: logs are recovered, a store is waited for.
    starting = asyncio.ensure_future(broker.start())
    stop = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([starting, stop], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        log.info("stopping")
        starting.cancel()
        await asyncio.wait([starting])
        return
    host, port = await starting
    # What the start made stays for good: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    node = broker.node
    sys.stdout.write(
        f"ottla is ready on {_shown(host)}:{port} (node {node.node_id}, cluster {node.cluster_id})\n"
    )
    sys.stdout.flush()
    await stop
    log.info("stopping")
    await broker.stop()
    log.info("stopped")


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
