"""Tells the cluster which replicas of this broker are offline, as their logs fail: others lead them then."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from ottla.controller.publisher import Publisher
from ottla.controller.session import BrokerSession
from ottla.metadata import model
from ottla.metadata.image import ImageDelta, MetadataImage
from ottla.metadata.model import OfflineReplicas
from ottla.metadata.plan import Changes, Step
from ottla.metadata.transaction import Compare, Delete, Put
from ottla.protocol.errors import KafkaError
from ottla.store.interface import LeaseNotFoundError, OutcomeUnknownError, Store, StoreError

log = logging.getLogger(__name__)

_RETRY_S: Final = 0.5


class OfflineReplicaReports:
    """Keeps in the metadata, under the broker's lease, what is offline here."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        session: BrokerSession,
        node_id: int,
        offline: Callable[[], Iterable[tuple[str, int]]],
    ) -> None:
        """`offline` gives topic and index of what is."""
        self._store = store
        self._publisher = publisher
        self._session = session
        self._node_id = node_id
        self._offline = offline
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        session.tell(self)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._wake.set()

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

    async def on_metadata(self, delta: ImageDelta, _image: MetadataImage) -> None:
        """Another registration knows nothing yet; what an earlier process said goes with its lease."""
        if self._node_id in delta.brokers_changed or delta.offline_replicas_changed:
            self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                for step in self._steps():
                    outcome = await self._store.transaction(step.transaction)
                    await self._publisher.reach(outcome.revision)
            except (StoreError, OutcomeUnknownError, LeaseNotFoundError, KafkaError) as error:
                log.warning("cannot say which replicas are offline, will try again: %s", error)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    def _steps(self) -> Iterable[Step[str]]:
        """What is left to say. Refused is what another registration has made out of date."""
        image, session = self._publisher.image, self._session
        wanted: dict[str, list[int]] = {}
        for topic, index in self._offline():
            wanted.setdefault(topic, []).append(index)
        said = {
            name: each for (node_id, name), each in image.offline_replicas.items() if node_id == self._node_id
        }
        changes: Changes[str] = Changes(Compare.unchanged(model.broker_key(self._node_id), session.epoch))
        for name, indexes in wanted.items():
            found = image.topics.get(name)
            if found is not None and said.get(name) != (found.topic_id, frozenset(indexes)):
                offline = OfflineReplicas(found.topic_id, frozenset(indexes))
                key = model.offline_replicas_key(self._node_id, name)
                value = model.encode_offline_replicas(offline)
                changes.add(name, (), (Put(key, value, session.lease_id),))
        for name in said:
            if name not in wanted:
                changes.add(name, (), (Delete(model.offline_replicas_key(self._node_id, name)),))
        return changes.steps()
