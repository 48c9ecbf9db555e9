"""Sends what clients have pushed to a collector, one after the other, beside all else."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import Executor
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ottla import __version__

log = logging.getLogger(__name__)

_WAITING_MAX: Final = 8 << 20
"""Bytes, but for a push that is larger itself; what comes when they are full is dropped"""
_TIMEOUT_S: Final = 10
_RETRIES_S: Final = (0.5, 2.0)
_LAST_S: Final = 2.0
_TRIED_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Of HTTP, as OTLP says"""


class Exporter:
    """To one endpoint."""

    def __init__(self, endpoint: str, headers: dict[str, str], thread: Executor) -> None:
        self._endpoint = endpoint
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": f"ottla/{__version__}",
            **headers,
        }
        self._thread = thread
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._sending: asyncio.Task[None] | None = None
        self._is_failing = False
        self._is_full = False

    def send(self, metrics: bytes) -> None:
        if self._bytes and self._bytes + len(metrics) > _WAITING_MAX:
            if not self._is_full:
                self._is_full = True
                log.error("metrics of clients are dropped: %s takes fewer than come", self._endpoint)
            return
        self._waiting.append(metrics)
        self._bytes += len(metrics)
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all())

    async def _send_all(self) -> None:
        while self._waiting:
            metrics = self._waiting.popleft()
            failure = await self._send(metrics)
            self._bytes -= len(metrics)
            if failure is not None and not self._is_failing:
                log.error("metrics of clients cannot be sent to %s: %s", self._endpoint, failure)
            self._is_failing = failure is not None
        self._sending = None
        self._is_full = False

    async def _send(self, metrics: bytes) -> str | None:
        """Why not; None where it was taken."""
        run = asyncio.get_running_loop().run_in_executor
        for wait_s in (*_RETRIES_S, None):
            try:
                await run(self._thread, self._post, metrics)
            except HTTPError as error:
                failure = f"HTTP {error.code}"
                if error.code not in _TRIED_AGAIN:
                    break
            except (OSError, HTTPException, ValueError) as error:
                failure = str(error) or type(error).__name__
            else:
                return None
            if wait_s is None or self._is_failing:
                break
            await asyncio.sleep(wait_s)
        return failure

    def _post(self, metrics: bytes) -> None:
        asked = Request(self._endpoint, metrics, self._headers, method="POST")  # noqa: S310 - http and https alone
        with urlopen(asked, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            answer.read(1 << 16)

    async def stop(self) -> None:
        sending = self._sending
        if sending is not None:
            await asyncio.wait([sending], timeout=_LAST_S)
            sending.cancel()
        self._thread.shutdown(wait=False)
