"""What sources share: settings read once, waiting where there is nothing or the source does not answer."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from ottla.connect.connectors.sinks import BusyError, backoff_ms
from ottla.connect.errors import RetriableError
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Config, SourceConnector, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.version import VERSION

__all__ = ["PollingSourceTask"]

_STEP_S: Final = 0.2
_RETRY_MS: Final = 500


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
