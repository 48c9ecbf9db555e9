"""Changes of ISRs, which leaders propose: many in one transaction, each compared with what it is to replace.

What became of a transaction is told by the watch: `Partition.take_state` decides a proposal, whoever changed
the state. Here is only found out that one will never be done, so that it can be withdrawn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from ottla.controller.publisher import Publisher
from ottla.metadata import model
from ottla.metadata.image import MetadataImage
from ottla.metadata.transaction import OPERATIONS_MAX, Compare, Put, Transaction
from ottla.protocol.errors import KafkaError
from ottla.replica.partition import IsrProposal
from ottla.replication.elections import with_isr
from ottla.store.interface import Outcome, OutcomeUnknownError, Store, StoreError

log = logging.getLogger(__name__)

_RETRY_S: Final = 0.5


class IsrController:
    """Commits what the leaders of one broker propose."""

    def __init__(
        self, store: Store, publisher: Publisher, node_id: int, own_epoch: Callable[[], int]
    ) -> None:
        """`own_epoch` is that of this broker's registration, negative without one."""
        self._store = store
        self._publisher = publisher
        self._node_id = node_id
        self._own_epoch = own_epoch
        self._proposed: list[IsrProposal] = []
        self._work: asyncio.Task[None] | None = None

    def propose(self, proposal: IsrProposal) -> None:
        """Commit it with the others that come until its turn."""
        self._proposed.append(proposal)
        if self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Begin nothing more; what is under way may be done or not."""
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work

    async def _run(self) -> None:
        try:
            while self._proposed:
                batch, self._proposed = _batch_of(self._proposed)
                try:
                    await self._commit(batch)
                except Exception:  # what it left open stays so, which is safe
                    log.exception("cannot change ISRs")
        finally:
            self._work = None

    async def _commit(self, proposals: Sequence[IsrProposal]) -> None:
        batch = [each for each in proposals if _is_open(each)]
        if not batch:
            return
        image, own_epoch = self._publisher.image, self._own_epoch()
        if own_epoch < 0:  # nobody takes changes from us; when we are registered all is looked at anew
            _withdraw(batch)
            return
        outcome = await self._outcome_of(_transaction(batch, image, self._node_id, own_epoch))
        if outcome.committed:
            return
        # One of the keys is no longer as compared, and will never be: nothing of this can be done any more.
        # But it may have been done, where that was not known: all that was has to be seen first.
        await self._reach(outcome.revision)
        left = [each for each in batch if _is_open(each)]
        if len(batch) == 1:
            _withdraw(left)
            return
        for each in left:
            await self._commit([each])

    async def _reach(self, revision: int) -> None:
        while True:
            try:
                await self._publisher.reach(revision)
            except KafkaError as error:
                log.error("it is not known what ISRs have become: %s", error)
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _outcome_of(self, transaction: Transaction) -> Outcome:
        """Try until it is known. Written once, it is refused: that changes what it compares."""
        while True:
            try:
                return await self._store.transaction(transaction)
            except OutcomeUnknownError as error:
                log.warning("it is not known whether ISRs have changed, will ask again: %s", error)
            except StoreError as error:
                log.error("cannot change ISRs, will try again: %s", error)
            await asyncio.sleep(_RETRY_S)


def _is_open(proposal: IsrProposal) -> bool:
    """Whether the partition is still led in the state that is to be replaced."""
    partition = proposal.partition
    return not partition.is_closed and partition.state is proposal.state


def _batch_of(proposals: list[IsrProposal]) -> tuple[list[IsrProposal], list[IsrProposal]]:
    """As many as a transaction can compare, and the rest."""
    compares, taken = 1, 0
    for each in proposals:
        compares += 2 + len(each.joining)
        if compares > OPERATIONS_MAX and taken:
            break
        taken += 1
    return proposals[:taken], proposals[taken:]


def _withdraw(proposals: Sequence[IsrProposal]) -> None:
    for each in proposals:
        each.partition.withdraw(each)


def _transaction(
    proposals: Sequence[IsrProposal], image: MetadataImage, node_id: int, own_epoch: int
) -> Transaction:
    compares = {model.broker_key(node_id): own_epoch}
    writes = []
    for proposal in proposals:
        partition, state = proposal.partition, proposal.state
        key = model.partition_key(partition.topic, partition.index)
        compares[key] = state.revision
        if not state.revision:
            topic = image.topics_by_id.get(partition.topic_id)
            compares[model.topic_key(partition.topic)] = -1 if topic is None else topic.revision
        for joining, epoch in proposal.joining.items():
            compares[model.broker_key(joining)] = epoch
        changed = with_isr(state, proposal.isr, partition.config.min_insync_replicas)
        writes.append(Put(key, model.encode_partition(changed)))
    return Transaction(
        tuple(Compare.unchanged(key, revision) for key, revision in compares.items()), tuple(writes)
    )
