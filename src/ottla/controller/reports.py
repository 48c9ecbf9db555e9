"""Tells the cluster what only this broker knows of its data folders.

That is which of its replicas are offline, as their logs fail: others lead them then. And whether all folders
are cordoned (KIP-1066): new replicas go to other brokers then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from ottla.controller.publisher import Publisher
from ottla.metadata import model
from ottla.metadata.features import may_be_written
from ottla.metadata.image import ImageDelta, MetadataImage
from ottla.metadata.model import OfflineReplicas
from ottla.metadata.plan import Changes, Step
from ottla.metadata.transaction import Compare, Delete, Put
from ottla.protocol.errors import KafkaError
from ottla.store.interface import LeaseNotFoundError, OutcomeUnknownError, Store, StoreError

log = logging.getLogger(__name__)

_RETRY_S: Final = 0.5


class Registered(Protocol):
    """Of this broker's registration"""

    @property
    def epoch(self) -> int: ...

    @property
    def lease_id(self) -> int: ...


class FolderReports:
    """Keeps it in the metadata: under the broker's lease what is offline here, as long as it is known what is
    cordoned.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        registered: Registered,
        node_id: int,
        offline: Callable[[], Iterable[tuple[str, int]]],
        is_cordoned: Callable[[], bool],
    ) -> None:
        """`offline` gives topic and index of what is, `is_cordoned` says whether all folders are."""
        self._store = store
        self._publisher = publisher
        self._registered = registered
        self._node_id = node_id
        self._offline = offline
        self._is_cordoned = is_cordoned
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """The broker is registered, and has had the metadata; returns when it was said, if it can be now."""
        await self._say()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def changed(self) -> None:
        """Other replicas may be offline than before."""
        self._wake.set()

    def lease_in_doubt(self) -> None:
        """What was said is gone with the lease."""

    def lease_renewed(self) -> None:
        self._wake.set()

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Another registration knows nothing yet; what an earlier process said goes with its lease. Folders
        are cordoned by a dynamic setting, which is in force here by now.
        """
        if self._node_id in delta.brokers_changed or delta.offline_replicas_changed or self._cordoning(image):
            self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self._say():
                await asyncio.sleep(_RETRY_S)

    async def _say(self) -> bool:
        """Say what is left to be said; False where that is to be tried again.

        Refused is what another registration has made out of date.
        """
        try:
            image = self._publisher.image
            for step in (*self._offline_steps(image), *self._cordoning(image)):
                outcome = await self._store.transaction(step.transaction)
                await self._publisher.reach(outcome.revision)
        except (StoreError, OutcomeUnknownError, LeaseNotFoundError, KafkaError) as error:
            log.warning("cannot say how the data folders are, will try again: %s", error)
            self._wake.set()
            return False
        return True

    def _cordoning(self, image: MetadataImage) -> Iterable[Step[str]]:
        is_cordoned = self._is_cordoned() and may_be_written(image, model.CORDONED)
        key = model.cordoned_key(self._node_id)
        if is_cordoned == (self._node_id in image.cordoned):
            return ()
        changes: Changes[str] = Changes(self._own_registration())
        changes.add(key, (), (Put(key, model.MARK) if is_cordoned else Delete(key),))
        return changes.steps()

    def _own_registration(self) -> Compare:
        return Compare.unchanged(model.broker_key(self._node_id), self._registered.epoch)

    def _offline_steps(self, image: MetadataImage) -> Iterable[Step[str]]:
        wanted: dict[str, list[int]] = {}
        for topic, index in self._offline():
            wanted.setdefault(topic, []).append(index)
        said = {
            name: each for (node_id, name), each in image.offline_replicas.items() if node_id == self._node_id
        }
        changes: Changes[str] = Changes(self._own_registration())
        for name, indexes in wanted.items():
            found = image.topics.get(name)
            if found is not None and said.get(name) != (found.topic_id, frozenset(indexes)):
                offline = OfflineReplicas(found.topic_id, frozenset(indexes))
                key = model.offline_replicas_key(self._node_id, name)
                value = model.encode_offline_replicas(offline)
                changes.add(name, (), (Put(key, value, self._registered.lease_id),))
        for name in said:
            if name not in wanted:
                changes.add(name, (), (Delete(model.offline_replicas_key(self._node_id, name)),))
        return changes.steps()
