"""Which node coordinates a group or transaction; what is asked for together goes in one request (KIP-699)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from enum import IntEnum
from functools import partial
from typing import Any, Final, Protocol

from ottla.client.errors import BrokerUpgradeError, ClientClosedError, ClientError, broker_error
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)

_FIRST_WITH_SEVERAL: Final = 4


class CoordinatorKind(IntEnum):
    """What a coordinator coordinates; the numbers are those of FindCoordinator."""

    GROUP = 0
    TRANSACTION = 1
    SHARE = 2


_FIRST_WITH: Final = {CoordinatorKind.GROUP: 0, CoordinatorKind.TRANSACTION: 1, CoordinatorKind.SHARE: 6}
"""The versions of FindCoordinator that know them."""


class Send(Protocol):
    """`Cluster.send`, as it is used here."""

    def __call__(
        self, request: FindCoordinatorRequest, response: type[FindCoordinatorResponse], /, *, min_version: int
    ) -> Coroutine[Any, Any, FindCoordinatorResponse]: ...


Found = Coordinator | ClientError
_Waiting = dict[str, asyncio.Future[Found]]
_Outcomes = Mapping[str, Found]


class CoordinatorFinder:
    """Keys that are asked for in one turn of the event loop are looked up together."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: dict[CoordinatorKind, _Waiting] = {}
        self._tasks: dict[asyncio.Task[_Outcomes], None] = {}

    async def find(self, kind: CoordinatorKind, key: str) -> Coordinator:
        """Where it is now; ClientError where none is, or where it cannot be found out."""
        waiting = self._waiting.get(kind)
        if waiting is None:
            waiting = self._waiting[kind] = {}
            task = asyncio.create_task(self._find_all(kind, waiting), name="ottla-find-coordinator")
            self._tasks[task] = None
            task.add_done_callback(partial(self._over, kind, waiting))
        if key not in waiting:
            waiting[key] = asyncio.get_running_loop().create_future()
        found = await asyncio.shield(waiting[key])  # others may wait for the same
        if isinstance(found, ClientError):
            raise found.again()
        return found

    def stop(self) -> list[asyncio.Task[_Outcomes]]:
        """What is under way, to be cancelled."""
        return list(self._tasks)

    async def _find_all(self, kind: CoordinatorKind, waiting: _Waiting) -> _Outcomes:
        await asyncio.sleep(0)  # others may ask as well
        del self._waiting[kind]
        return await self._ask(kind, tuple(waiting))

    def _over(self, kind: CoordinatorKind, waiting: _Waiting, task: asyncio.Task[_Outcomes]) -> None:
        del self._tasks[task]
        if self._waiting.get(kind) is waiting:  # it was cancelled before it asked
            del self._waiting[kind]
        error = ClientClosedError("the client was closed") if task.cancelled() else task.exception()
        for key, future in waiting.items():
            if isinstance(error, ClientError):
                future.set_result(error)
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(task.result().get(key) or _none(kind, key))

    async def _ask(self, kind: CoordinatorKind, keys: Collection[str]) -> _Outcomes:
        if len(keys) == 1:
            return await self._ask_one(kind, *keys)
        request = FindCoordinatorRequest(key_type=kind, coordinator_keys=list(keys))
        least = max(_FIRST_WITH[kind], _FIRST_WITH_SEVERAL)
        try:
            response = await self._send(request, FindCoordinatorResponse, min_version=least)
        except BrokerUpgradeError:
            found: dict[str, Found] = {}
            for key in keys:
                found |= await self._ask_one(kind, key)
            return found
        except ClientError as error:
            return dict.fromkeys(keys, error)
        return {each.key: _outcome(kind, each.key, each) for each in response.coordinators}

    async def _ask_one(self, kind: CoordinatorKind, key: str) -> dict[str, Found]:
        request = FindCoordinatorRequest(key=key, key_type=kind, coordinator_keys=[key])
        try:
            response = await self._send(request, FindCoordinatorResponse, min_version=_FIRST_WITH[kind])
        except ClientError as error:
            return {key: error}
        if response.coordinators:
            return {key: _outcome(kind, key, response.coordinators[0])}
        only = Coordinator(
            key=key,
            node_id=response.node_id,
            host=response.host,
            port=response.port,
            error_code=response.error_code,
            error_message=response.error_message,
        )
        return {key: _outcome(kind, key, only)}


def _outcome(kind: CoordinatorKind, key: str, found: Coordinator) -> Found:
    if found.error_code:
        return broker_error(found.error_code, found.error_message or None, _what(kind, key))
    return found if found.node_id >= 0 else _none(kind, key)


def _none(kind: CoordinatorKind, key: str) -> ClientError:
    return broker_error(ErrorCode.coordinator_not_available, what=_what(kind, key))


def _what(kind: CoordinatorKind, key: str) -> str:
    return f"coordinator of {kind.name.lower()} {key}"
