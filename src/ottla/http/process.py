"""A server as a process of its own: one `ready` line out, signals, exit codes."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, Protocol

import uvloop

from ottla.client.errors import ClientError, ConfigurationError

EXIT_OK, EXIT_FAILURE, EXIT_USAGE = 0, 1, 2
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_QUIET: Final = ("asyncio", "uvicorn")


class Service(Protocol):
    """`start` it, wait for `run`, which ends when it cannot go on, and `close` it."""

    @property
    def address(self) -> tuple[str, int]: ...

    @property
    def is_secure(self) -> bool: ...

    async def start(self) -> None: ...

    async def run(self) -> None: ...

    async def close(self) -> None: ...


def run_process(name: str, make: Callable[[], Service], *, verbose: bool = False) -> int:
    """Run what `make` gives, in the event loop, until SIGINT or SIGTERM, at once with a second one. Returns
    the process's exit code.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for each in _QUIET:
        logging.getLogger(each).setLevel(logging.WARNING)
    try:
        uvloop.run(_serve(name, make))
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


async def _serve(name: str, make: Callable[[], Service]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for each in _ENDING:  # whoever asks twice does not want to wait
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stopping.set()

    for each in _ENDING:
        loop.add_signal_handler(each, stop)
    service = make()
    try:
        stopped = asyncio.ensure_future(stopping.wait())
        if not await _is_first(service.start(), stopped):
            return
        gc.collect()
        gc.freeze()  # what the start made stays for good
        host, port = service.address
        scheme = "https" if service.is_secure else "http"
        sys.stdout.write(f"{name} is ready on {scheme}://{f'[{host}]' if ':' in host else host}:{port}\n")
        sys.stdout.flush()
        running = asyncio.ensure_future(service.run())
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        await service.close()


async def _is_first(work: Coroutine[Any, Any, None], stopped: asyncio.Future[Literal[True]]) -> bool:
    """Whether it was over before the process was to stop; else it is cancelled."""
    starting = asyncio.ensure_future(work)
    both: list[asyncio.Future[Any]] = [starting, stopped]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    await asyncio.wait([starting])
    return False
