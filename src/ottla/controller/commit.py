"""Commits plans: whoever changes the metadata writes to the store, and answers when that is applied here.

The plans are pure (`ottla.metadata`). A plan is committed by compare-and-swap, so one that was made from an
image that is out of date is refused, and made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ottla.controller.publisher import Publisher
from ottla.metadata.features import check_may_be_written
from ottla.metadata.image import MetadataImage
from ottla.metadata.plan import Plan
from ottla.metadata.transaction import Delete, Event, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.interface import CompactedError, Outcome, OutcomeUnknownError, Store, StoreError, prefixes_of

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_READ_BACK_S = 30.0
_READ_BACK_RETRY_S = 0.5

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


class Committer:
    """One change of this node at a time; those of others come in between."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._lock = asyncio.Lock()

    async def change(
        self,
        make_plan: Callable[[MetadataImage], Plan[_Item, _Outcome]],
        *,
        validate_only: bool = False,
    ) -> Mapping[_Item, _Outcome | KafkaError]:
        """Commit what is planned, and return its results when they are in force on this node.

        Raises KafkaError: unsupported_version for what not all brokers could read, kafka_storage_error when
        the store takes no change, request_timed_out when the metadata kept changing meanwhile, or when it is
        not known whether the change was made.
        """
        if validate_only:
            return make_plan(self._publisher.image).results
        # A client that goes away does not leave a change half done.
        change = self._change(make_plan)
        return await asyncio.shield(asyncio.ensure_future(change))

    async def stop(self) -> None:
        """Return when the change under way is done; there are no others to come."""
        async with self._lock:
            pass

    async def _change(
        self, make_plan: Callable[[MetadataImage], Plan[_Item, _Outcome]]
    ) -> Mapping[_Item, _Outcome | KafkaError]:
        done: dict[_Item, _Outcome | KafkaError] = {}
        async with self._lock:
            for _ in range(_ATTEMPTS):
                image = self._publisher.image
                plan = make_plan(image)
                try:
                    for step in plan.steps:
                        check_may_be_written(image, step.transaction)
                    if await self._perform(plan, image.revision, done):
                        return {**plan.results, **done}
                    error = KafkaError(ErrorCode.request_timed_out, "The metadata kept changing meanwhile.")
                except KafkaError as failure:
                    error = failure
                    break
        if not done:
            raise error
        left = {item: error for step in plan.steps for item in step.items}
        return {**plan.results, **left, **done}

    async def _perform(
        self,
        plan: Plan[_Item, _Outcome],
        planned_at: int,
        done: dict[_Item, _Outcome | KafkaError],
    ) -> bool:
        """Commit one step after another, noting what is `done`; False when one was refused."""
        for step in plan.steps:
            outcome = await self._commit(step.transaction, planned_at)
            await self._publisher.reach(outcome.revision)
            if not outcome.committed:
                return False
            for item in step.items:
                done.setdefault(item, plan.results[item])
        return True

    async def _commit(self, transaction: Transaction, planned_at: int) -> Outcome:
        try:
            return await self._store.transaction(transaction)
        except StoreError as error:
            raise KafkaError(ErrorCode.kafka_storage_error, f"cannot write the metadata: {error}") from error
        except OutcomeUnknownError as error:
            log.warning("reading back whether the metadata has changed: %s", error)
            return await self._read_back(transaction, planned_at)

    async def _read_back(self, transaction: Transaction, planned_at: int) -> Outcome:
        """What became of a transaction.

        It may still be done after this has said that it was not: its comparisons then hold it off from
        whatever was written instead.
        """
        try:
            async with asyncio.timeout(_READ_BACK_S):
                while True:
                    try:
                        present = await self._store.range("", limit=1)
                        return await self._find(transaction, planned_at + 1, present.revision)
                    except StoreError as error:
                        log.warning("cannot read back: %s", error)
                        await asyncio.sleep(_READ_BACK_RETRY_S)
        except (CompactedError, TimeoutError):
            raise KafkaError(
                ErrorCode.request_timed_out, "It is not known whether the change was made."
            ) from None

    async def _find(self, transaction: Transaction, first: int, last: int) -> Outcome:
        """The revision among these that did what the transaction says, if any did."""
        if first <= last:
            async with contextlib.aclosing(self._store.watch("", first)) as watch:
                async for number, events in watch:
                    if events and _are_of(transaction, events):
                        return Outcome(True, number)
                    if number >= last:
                        break
        return Outcome(False, last)


def _are_of(transaction: Transaction, events: Iterable[Event]) -> bool:
    """Whether this is what the transaction does; deleting what is not there leaves no event."""
    put = {write.key: write.value for write in transaction.writes if isinstance(write, Put)}
    deleted = {write.key for write in transaction.writes if isinstance(write, Delete)}
    prefixes = prefixes_of(transaction.writes)
    seen = 0
    for event in events:
        if event.value is not None:
            if put.get(event.key) != event.value:
                return False
            seen += 1
        elif event.key not in deleted and not event.key.startswith(prefixes):
            return False
    return seen == len(put)
