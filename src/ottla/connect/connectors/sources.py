"""What sources share: settings, waiting where nothing is there or nobody answers, and what comes unasked."""

from __future__ import annotations

import queue
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final, Generic, TypeVar

from ottla.connect.connectors.sinks import BusyError, backoff_ms
from ottla.connect.errors import RetriableError
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Config, SourceConnector, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.version import VERSION

__all__ = ["Inbox", "PollingSourceTask"]

_STEP_S: Final = 0.2
_RETRY_MS: Final = 500


T = TypeVar("T")


class Inbox(Generic[T]):
    """What came by itself, until it is polled for; bounded, so that who brings it has to wait."""

    def __init__(self, size: int) -> None:
        self._items: queue.Queue[T] = queue.Queue(size)
        self._is_closed = False

    def put(self, item: T) -> None:
        """Wait until there is room, or nobody wants it any more."""
        while not self._is_closed:
            try:
                self._items.put(item, timeout=_STEP_S)
                return
            except queue.Full:
                continue

    def offer(self, item: T) -> bool:
        """False where there is no room."""
        try:
            self._items.put_nowait(item)
        except queue.Full:
            return False
        return True

    def take(self, most: int, wait_s: float = _STEP_S) -> list[T]:
        """What there is, after waiting for a first one."""
        items: list[T] = []
        try:
            items.append(self._items.get(timeout=wait_s))
            while len(items) < most:
                items.append(self._items.get_nowait())
        except queue.Empty:
            pass
        return items

    def close(self) -> None:
        self._is_closed = True


class PollingSourceTask(SourceTask):
    """RetriableError from `read` is waited after, longer each time, and `read` is called again."""

    connector: ClassVar[type[SourceConnector]]
    """Whose settings they are"""

    def version(self) -> str:
        return VERSION

    def start(self, config: Config) -> None:
        self.settings = self.connector().settings(config)
        self._failures = 0
        self.connect(self.settings, config)

    @abstractmethod
    def connect(self, settings: Settings, config: Config) -> None:
        """Be ready to read. `config` also has what the connector gave its tasks beside the settings."""

    @abstractmethod
    def read(self) -> Sequence[SourceRecord]:
        """What there is, after `idle` where that is nothing."""

    def poll(self) -> Sequence[SourceRecord] | None:
        try:
            records = self.read()
        except RetriableError as error:
            self._failures += 1
            wait_ms = backoff_ms(_RETRY_MS, self._failures)
            self.idle((error.delay_ms if isinstance(error, BusyError) else wait_ms) / 1000)
            raise
        self._failures = 0
        return records

    def idle(self, seconds: float = _STEP_S) -> None:
        """Wait, unless the task is to stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.context.is_stopping:
            time.sleep(min(left, _STEP_S))
