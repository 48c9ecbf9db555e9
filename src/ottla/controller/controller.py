"""What only one broker of a cluster may do: elect leaders, take brokers back, finish what moves.

The broker that holds `/controller` does it. That key's revision is the controller's epoch, and each write of
this duty compares it, so that a controller that was deposed without knowing changes nothing. What is to be
done follows from the image alone: a new controller goes on where the last one stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from ottla.config.controller import ControllerConfig
from ottla.config.current import Current
from ottla.controller.publisher import Publisher
from ottla.controller.session import BrokerSession
from ottla.metadata import model
from ottla.metadata.image import ImageDelta, MetadataImage, Topic
from ottla.metadata.plan import Step
from ottla.metadata.transaction import Compare, Put, Transaction
from ottla.protocol.errors import KafkaError
from ottla.replication.leadership import (
    TopicPartition,
    all_partitions,
    rebalance_leaders,
    settle_partitions,
    unfence,
    waiting_brokers,
)
from ottla.replication.moves import raise_factors
from ottla.store.interface import LeaseNotFoundError, OutcomeUnknownError, Store, StoreError

log = logging.getLogger(__name__)

_RETRY_S = 0.5
_COMPACT_INTERVAL_S = 300.0
_IN_FLIGHT = 8
"""Transactions at a time: a store syncs its disk once for several"""
_REBALANCED_AT_ONCE = 1000
"""Kafka's bound, so that leaders do not all move at the same time"""


class Controller:
    """Becomes the cluster's controller when there is none, and does its work while it is."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        session: BrokerSession,
        node_id: int,
        config: Current[ControllerConfig],
        internal_factors: Callable[[], Mapping[str, int]],
    ) -> None:
        """`internal_factors` says how many replicas the topics of coordinators are to have."""
        self._internal_factors = internal_factors
        self._store = store
        self._publisher = publisher
        self._session = session
        self._node_id = node_id
        self._config = config
        self._everything = True
        self._partitions: dict[TopicPartition, None] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        session.tell(self)

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._work()),
            asyncio.create_task(self._rebalance()),
            asyncio.create_task(self._compact()),
        ]
        self._wake.set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Note what has to be looked at, and go to work."""
        if delta.brokers_changed or delta.broker_configs_changed or delta.controller_changed:
            self._everything = True
        for topic in (*delta.topics_created, *delta.topic_configs_changed):
            self._note(topic, range(len(topic.partitions)))
        for topic, first_new in delta.partitions_added:
            self._note(topic, range(first_new, len(topic.partitions)))
        for topic, partition in delta.partitions_changed:
            self._note(topic, (partition,))
        for _, name in sorted(delta.offline_replicas_changed):
            if (found := image.topics.get(name)) is not None:
                self._note(found, range(len(found.partitions)))
        self._wake.set()

    def lease_in_doubt(self) -> None:
        """Goes on: what another controller has done meanwhile, it cannot undo."""

    def lease_renewed(self) -> None:
        self._wake.set()

    def _note(self, topic: Topic, partitions: Iterable[int]) -> None:
        self._partitions.update(dict.fromkeys((topic.name, number) for number in partitions))

    def _epoch(self) -> int | None:
        """The controller's epoch, if this broker is the controller.

        It took that up in its present registration: of an earlier one the lease has ended.
        """
        controller = self._publisher.image.controller
        if controller is None or controller.node_id != self._node_id:
            return None
        return controller.epoch if controller.epoch > self._session.epoch else None

    # -- the work

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._publisher.image.controller is None:
                    await self._claim()
                elif (epoch := self._epoch()) is not None:
                    await self._settle(epoch)
            except (StoreError, OutcomeUnknownError, LeaseNotFoundError, KafkaError) as error:
                # What was not known to be done is tried again, and refused if it was.
                log.warning("cannot do the controller's work, will try again: %s", error)
                await self._try_again()
            except Exception:  # without it the cluster would be without a controller that believes in itself
                log.exception("the controller's work failed, will try again")
                await self._try_again()

    async def _try_again(self) -> None:
        self._everything = True
        self._wake.set()
        await asyncio.sleep(_RETRY_S)

    async def _claim(self) -> None:
        """Become the controller, if no other broker is first."""
        if self._session.is_in_doubt:
            return  # wakes up again with the next registration
        claim = Transaction(
            compares=(
                Compare.absent(model.CONTROLLER),
                Compare.unchanged(model.broker_key(self._node_id), self._session.epoch),
            ),
            writes=(Put(model.CONTROLLER, model.encode_controller(self._node_id), self._session.lease_id),),
        )
        outcome = await self._store.transaction(claim)
        if outcome.committed:
            log.info("this broker is the controller now, in epoch %d", outcome.revision)
        await self._publisher.reach(outcome.revision)

    async def _settle(self, epoch: int) -> None:
        """Bring the partitions that may need it to what they should be, then take back who waits for that."""
        image, always = self._publisher.image, Compare.unchanged(model.CONTROLLER, epoch)
        is_awaited = bool(waiting_brokers(image))
        everything, self._everything = self._everything, False
        noted, self._partitions = self._partitions, {}
        due = all_partitions(image) if everything or is_awaited else noted
        steps = settle_partitions(image, self._config.value, due, always)
        if steps:
            await self._commit(steps)
        elif is_awaited and (ready := unfence(image, always)) is not None:
            await self._publisher.reach((await self._store.transaction(ready)).revision)
        else:
            await self._commit(raise_factors(image, self._config.value, self._internal_factors(), always))

    async def _commit(self, steps: Sequence[Step[TopicPartition]]) -> None:
        """Some at a time, as none depends on another. What is refused is looked at again later."""
        revision = 0
        for first in range(0, len(steps), _IN_FLIGHT):
            together = steps[first : first + _IN_FLIGHT]
            outcomes = await asyncio.gather(
                *(self._store.transaction(step.transaction) for step in together), return_exceptions=True
            )
            for step, outcome in zip(together, outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    raise outcome
                revision = max(revision, outcome.revision)
                if not outcome.committed:
                    self._partitions.update(dict.fromkeys(step.items))
                    self._wake.set()
        await self._publisher.reach(revision)

    async def _rebalance(self) -> None:
        """Give partitions back to their preferred leaders (`auto.leader.rebalance.enable`)."""
        while True:
            await asyncio.sleep(self._config.value.leader_imbalance_check_interval_seconds)
            epoch = self._epoch()
            if epoch is None or not self._config.value.auto_leader_rebalance_enable:
                continue
            always = Compare.unchanged(model.CONTROLLER, epoch)
            image = self._publisher.image
            try:
                await self._commit(rebalance_leaders(image, self._config.value, _REBALANCED_AT_ONCE, always))
            except (StoreError, OutcomeUnknownError, KafkaError) as error:
                log.warning("cannot have preferred replicas lead: %s", error)

    async def _compact(self) -> None:
        """Have the store drop the history that nobody will ask for any more."""
        revision = 0
        while True:
            await asyncio.sleep(_COMPACT_INTERVAL_S)
            if self._epoch() is None:
                continue
            try:
                if revision:
                    await self._store.compact(revision)
            except (StoreError, OutcomeUnknownError) as error:
                log.warning("cannot compact the metadata's history: %s", error)
            revision = self._publisher.image.revision
