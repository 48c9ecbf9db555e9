"""What only the leader of a Connect cluster does, and how others have it done: task configurations, session
keys, fencing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import quote

from ottla.client.connecting import AsyncClient
from ottla.client.errors import ClientError
from ottla.connect.errors import ConnectError, NotFoundError
from ottla.connect.worker.client_configs import transactional_id
from ottla.connect.worker.configs import Config, SessionKey, session_key_written, task_count_written
from ottla.connect.worker.crew import Crew
from ottla.connect.worker.ids import ConnectorTaskId, TargetState
from ottla.connect.worker.protocol import Protocol as GroupProtocol
from ottla.connect.worker.settings import WorkerConfig
from ottla.connect.worker.stores import ConfigStore

_log: Final = logging.getLogger(__name__)

_KEY_BITS: Final = 256


class Answer(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def value(self) -> object: ...


class Sending(Protocol):
    async def send_signed(
        self, url: str, method: str, target: str, value: object, key: SessionKey | None, algorithm: str
    ) -> Answer: ...


class Leading:
    def __init__(
        self,
        config: WorkerConfig,
        configs: ConfigStore,
        crew: Crew,
        client: AsyncClient,
        sending: Sending,
        now_ms: Callable[[], int],
    ) -> None:
        self._config = config
        self._configs = configs
        self._crew = crew
        self._client = client
        self._sending = sending
        self._now_ms = now_ms
        self._fencing = asyncio.Lock()

    async def begin(self) -> None:
        """This worker leads: others are fenced, and there is a key that is not too old."""
        await self._configs.claim()
        await self.renew_key()

    async def renew_key(self) -> None:
        if self._config.protocol is not GroupProtocol.SESSIONED:
            return
        settings, key, now_ms = self._config.settings, self._configs.state.session_key, self._now_ms()
        if key is not None and key.created_ms + settings.inter_worker_key_ttl_ms > now_ms:
            return
        bits: int | None = settings.inter_worker_key_size
        fresh = os.urandom((bits or _KEY_BITS) // 8)
        made = SessionKey(fresh, settings.inter_worker_key_generation_algorithm, now_ms)
        await self._configs.write([session_key_written(made)])

    async def publish_tasks(self, name: str, configs: Sequence[Config]) -> None:
        """ConnectError where the leader did not take them."""
        membership = self._crew.membership
        if membership.is_leader:
            if not configs or self._configs.state.target_state(name) is not TargetState.STOPPED:
                await self._configs.put_tasks(name, configs)
            return
        await self._ask_leader(
            "POST", f"/connectors/{quote(name, safe='')}/tasks", [dict(each) for each in configs]
        )

    async def fence(self, name: str) -> None:
        """Of a source with exactly once: tasks of the generation before write no more. ConnectError."""
        if name not in self._configs.state.pending_fencing:
            return
        if self._crew.membership.is_leader:
            await self.fence_here(name)
        else:
            await self._ask_leader("PUT", f"/connectors/{quote(name, safe='')}/fence", {})
        await self._configs.refresh()

    async def fence_here(self, name: str) -> None:
        """As the leader."""
        async with self._fencing:
            await self._configs.refresh()
            state = self._configs.state
            if name not in state.connectors:
                raise NotFoundError(f"Connector {name} not found")
            if name not in state.pending_fencing:
                return
            before, count = state.fenced_task_counts.get(name), len(state.tasks(name))
            if before is not None and not (before == 1 and count == 1):
                await self._fence(name, before)
            await self._configs.write([task_count_written(name, count)])

    async def _fence(self, name: str, count: int) -> None:
        group = self._config.settings.group_id or ""
        ids = [transactional_id(group, ConnectorTaskId(name, number)) for number in range(count)]
        try:
            (await self._client.admin.transactions.fence_producers(ids)).check()
        except ClientError as error:
            raise ConnectError(f"Failed to fence out tasks of connector {name}: {error}") from error

    async def _ask_leader(self, method: str, target: str, value: object) -> None:
        url = self._crew.membership.leader_url
        if url is None:
            raise ConnectError("the leader of the Connect cluster is not known now")
        algorithm = self._config.settings.inter_worker_signature_algorithm
        key = self._configs.state.session_key if self._config.protocol is GroupProtocol.SESSIONED else None
        try:
            answer = await self._sending.send_signed(
                url, method, f"{target}?forward=true", value, key, algorithm
            )
        except Exception as error:
            raise ConnectError(f"{method} {target} to the leader: {error}") from error
        if answer.status >= 300:
            raise ConnectError(f"{method} {target} to the leader: {answer.status} {answer.value!r}")


__all__ = ["Leading"]
