"""A broker in a thread, or in the event loop that is running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import uvloop

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.config.load import Sources, load_settings

QUICK_SETTINGS: Mapping[str, str] = {
    "group.consumer.assignment.interval.ms": "0",
    "group.initial.rebalance.delay.ms": "0",
    "listeners": "PLAINTEXT://127.0.0.1:0",
    "offsets.topic.num.partitions": "1",
}
"""What differs from a broker's defaults: a free port, no wait for more members or between assignments, and
one partition of offsets is enough.
"""


@dataclass(frozen=True, slots=True)
class InProcessBroker:
    """A broker that runs while its context lasts."""

    host: str
    port: int
    data_dir: str

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, as clients want it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _broker_settings(data_dir: str, settings: Mapping[str, object] | None) -> BrokerSettings:
    """Raises ConfigError for a name or value that no setting has."""
    texts = {name: _text(name, value) for name, value in {**QUICK_SETTINGS, **(settings or {})}.items()}
    for name in ("log.dirs", "log.dir"):
        if name in texts:
            raise ConfigError(f"settings: {name} is given as data_dir", name)
    texts["log.dirs"] = data_dir
    loaded = load_settings(Sources(options={name: (text, "settings") for name, text in texts.items()}))
    return BrokerSettings(loaded.config, BrokerLayers(static=loaded.static))


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return ",".join(_text(name, item) for item in value)
    raise ConfigError(
        f"settings: {name}: expected a string, a number, a boolean or a list, not {value!r}", name
    )


@contextlib.asynccontextmanager
async def run_broker_async(
    settings: Mapping[str, object] | None = None, *, data_dir: str | os.PathLike[str] | None = None
) -> AsyncIterator[InProcessBroker]:
    """A fresh broker on a free port, in the running event loop.

    `settings` are Kafka's names (`{"num.partitions": 3}`).  Without `data_dir` its data is gone afterwards.
    A client that blocks the loop cannot talk to it: use `run_broker` for those.

    Raises ConfigError for settings that no broker has, and what `Broker.start` raises.
    """
    with contextlib.ExitStack() as stack:
        folder = (
            stack.enter_context(tempfile.TemporaryDirectory(prefix="ottla-"))
            if data_dir is None
            else os.fspath(data_dir)
        )
        broker = Broker(_broker_settings(folder, settings))
        await broker.start()
        host, port = next(iter(broker.node.addresses.values()))
        try:
            yield InProcessBroker(host, port, folder)
        finally:
            await broker.stop()


@contextlib.contextmanager
def run_broker(
    settings: Mapping[str, object] | None = None, *, data_dir: str | os.PathLike[str] | None = None
) -> Iterator[InProcessBroker]:
    """A fresh broker on a free port, in a thread of this process; otherwise as `run_broker_async`."""
    thread = _BrokerThread(settings, data_dir)
    thread.start()
    try:
        yield thread.wait_until_ready()
    finally:
        thread.stop()


class _BrokerThread(threading.Thread):
    def __init__(
        self, settings: Mapping[str, object] | None, data_dir: str | os.PathLike[str] | None
    ) -> None:
        super().__init__(name="ottla-broker", daemon=True)
        self._settings = settings
        self._data_dir = data_dir
        self._loop = uvloop.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._broker: InProcessBroker | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for this one
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with run_broker_async(self._settings, data_dir=self._data_dir) as self._broker:
            self._ready.set()
            await self._stopping.wait()

    def wait_until_ready(self) -> InProcessBroker:
        """The broker once clients can connect; raises what kept it from starting."""
        self._ready.wait()
        if self._broker is None:
            self.join()
            raise self._error or RuntimeError("the broker did not start")
        return self._broker

    def stop(self) -> None:
        """Stop and wait; raises what went wrong while the broker ran."""
        with contextlib.suppress(RuntimeError):  # the loop is closed when the broker failed
            self._loop.call_soon_threadsafe(self._stopping.set)
        self.join()
        if self._error is not None and self._broker is not None:
            raise self._error
