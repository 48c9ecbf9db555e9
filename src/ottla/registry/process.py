"""The registry as a process of its own: settings in, one `ready` line out, signals, exit codes."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Mapping

import uvloop

from ottla.client.errors import ClientError, ConfigurationError
from ottla.client.settings import ClientSettings, parse
from ottla.registry.server.assembly import Registry
from ottla.registry.settings import RegistrySettings

EXIT_OK, EXIT_FAILURE, EXIT_USAGE = 0, 1, 2


def run_process(
    host: str,
    port: int,
    client: Mapping[str, object],
    settings: Mapping[str, object],
    *,
    verbose: bool = False,
) -> int:
    """Run a registry until SIGINT or SIGTERM; returns the process's exit code."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for name in ("asyncio", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        uvloop.run(_serve(host, port, parse(ClientSettings, client), parse(RegistrySettings, settings)))
    except ConfigurationError as error:
        return _fail(error, EXIT_USAGE)
    except (ClientError, OSError) as error:
        return _fail(error, EXIT_FAILURE)
    except KeyboardInterrupt:
        return EXIT_OK
    return EXIT_OK


def _fail(error: Exception, code: int) -> int:
    sys.stderr.write(f"ottla: {error}\n")
    return code


async def _serve(host: str, port: int, client: ClientSettings, settings: RegistrySettings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    registry = Registry(client, settings, host, port)
    try:
        starting = asyncio.ensure_future(registry.start())
        stopped = asyncio.ensure_future(stopping.wait())
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
            return
        starting.result()
        gc.collect()
        gc.freeze()  # what the start made stays for good
        shown = f"[{registry.address[0]}]" if ":" in registry.address[0] else registry.address[0]
        scheme = "https" if settings.is_secure else "http"
        sys.stdout.write(f"ottla registry is ready on {scheme}://{shown}:{registry.address[1]}\n")
        sys.stdout.flush()
        running = asyncio.ensure_future(registry.run())
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        await registry.close()
