"""Changes of ISRs, which leaders propose: many in one transaction, each compared with what it is to replace.

What became of a transaction is told by the watch: `Partition.take_state` decides a proposal, whoever changed
the state. Here is only found out that one will never be done, so that it can be withdrawn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ottla.controller.publisher import Publisher
from ottla.metadata import model
from ottla.metadata.image import MetadataImage
from ottla.metadata.partitions import change_partition
from ottla.metadata.plan import Changes, Step
from ottla.metadata.transaction import Compare, Transaction
from ottla.protocol.errors import KafkaError
from ottla.replica.partition import IsrProposal
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
        self.shrinks = 0
        self.expansions = 0
        """ISRs that were committed with fewer replicas than before, and with more"""

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
                proposals, self._proposed = self._proposed, []
                try:
                    await self._commit(proposals)
                except Exception:  # what it left open stays so, which is safe
                    log.exception("cannot change ISRs")
        finally:
            self._work = None

    async def _commit(self, proposals: Iterable[IsrProposal]) -> None:
        image, own_epoch = self._publisher.image, self._own_epoch()
        left = [each for each in proposals if _is_open(each, image)]
        if own_epoch < 0:  # nobody takes changes from us; when we are registered all is looked at anew
            _withdraw(left)
            return
        for step in _steps(left, image, Compare.unchanged(model.broker_key(self._node_id), own_epoch)):
            await self._commit_step(step)

    async def _commit_step(self, step: Step[IsrProposal]) -> None:
        outcome = await self._outcome_of(step.transaction)
        if outcome.committed:
            self._count(step.items)
            return
        # One of the keys is no longer as compared, and will never be: nothing of this can be done any more.
        # But it may have been done, where that was not known: all that was has to be seen first.
        await self._reach(outcome.revision)
        if len(step.items) == 1:
            _withdraw([each for each in step.items if _is_open(each, self._publisher.image)])
            self._count(filter(_was_made, step.items))
            return
        for each in step.items:
            await self._commit([each])

    def _count(self, committed: Iterable[IsrProposal]) -> None:
        for each in committed:
            before, after = len(each.state.isr), len(each.isr)
            self.shrinks += after < before
            self.expansions += after > before

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


def _is_open(proposal: IsrProposal, image: MetadataImage) -> bool:
    """Whether the partition is still there, and led in the state that is to be replaced."""
    partition = proposal.partition
    is_led = not partition.is_closed and partition.state is proposal.state
    return is_led and partition.topic_id in image.topics_by_id


def _was_made(proposal: IsrProposal) -> bool:
    """Whether the state is the one that was proposed: nobody was told so when it was written."""
    former, state = proposal.state, proposal.partition.state
    return state.partition_epoch == former.partition_epoch + 1 and state.isr == proposal.isr


def _withdraw(proposals: Sequence[IsrProposal]) -> None:
    for each in proposals:
        each.partition.withdraw(each)


def _steps(
    proposals: Iterable[IsrProposal], image: MetadataImage, always: Compare
) -> Sequence[Step[IsrProposal]]:
    from ottla.replication.elections import with_isr  # a broker that is alone never comes here

    changes: Changes[IsrProposal] = Changes(always)
    for proposal in proposals:
        partition, former = proposal.partition, proposal.state
        changed = with_isr(former, proposal.isr, partition.config.min_insync_replicas)
        compares, writes = change_partition(
            image.topics_by_id[partition.topic_id], partition.index, changed, former=former
        )
        joining = [
            Compare.unchanged(model.broker_key(each), epoch) for each, epoch in proposal.joining.items()
        ]
        changes.add(proposal, (*compares, *joining), writes)
    return changes.steps()
