"""Keeps this broker a member of its cluster: the lease, the registration under it, and what its end means.

A lease says who lives, never who may write: it may last longer than it should, and end while its holder
believes in it. What is written is held off by comparisons. The time of a lease is counted from when the last
good keepalive was sent, and this broker leads nothing any more before it can have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from ottla.clock import Clock
from ottla.config.controller import ControllerConfig
from ottla.controller.registration import NEVER, NodeIdInUseError, register
from ottla.metadata import model
from ottla.metadata.image import ImageDelta, ImageSource, MetadataImage
from ottla.metadata.model import BrokerRegistration
from ottla.metadata.transaction import NO_LEASE, Compare, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.interface import LeaseNotFoundError, OutcomeUnknownError, Store, StoreError

log = logging.getLogger(__name__)

_BELIEVED = 0.9
"""The part of a lease's time that is counted on, since clocks differ"""
_RETRY_S = 0.5
_HAND_OVER_TIMEOUT_S = 60.0


class SessionListener(Protocol):
    """A part of this node that may only do its work while the cluster counts on this broker."""

    def lease_in_doubt(self) -> None:
        """The lease may end from now on: others may be elected in this broker's place, so lead nothing."""

    def lease_renewed(self) -> None:
        """The lease goes on, or there is another one: lead what the metadata says."""


class BrokerSession:
    """Registers this broker, again whenever its lease has ended, and hands its work over before it stops."""

    def __init__(self, store: Store, metadata: ImageSource, clock: Clock) -> None:
        self._store = store
        self._metadata = metadata
        self._clock = clock
        self._listeners: list[SessionListener] = []
        self._registration = BrokerRegistration(-1, {})
        self._timeout_s = self._interval_s = 0.0
        self.lease_id = NO_LEASE
        self.epoch = NEVER
        self.is_in_doubt = True
        """Whether this broker's lease may have ended, for all that it knows"""
        self._doubt: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def tell(self, listener: SessionListener) -> None:
        """From now on, of what becomes of the lease. It begins in doubt."""
        self._listeners.append(listener)

    async def start(
        self, registration: BrokerRegistration, last_epoch: int, config: ControllerConfig
    ) -> None:
        """Register; `last_epoch` is that of the last stop, if it was clean, or NEVER.

        Tries for `initial.broker.registration.timeout.ms`; raises KafkaError(duplicate_broker_registration)
        while another process has the id, or kafka_storage_error.
        """
        self._registration = registration
        self._timeout_s = config.broker_session_timeout_ms / 1000
        self._interval_s = config.broker_heartbeat_interval_ms / 1000
        deadline_s = self._clock.monotonic_s() + config.initial_broker_registration_timeout_ms / 1000
        refusal = ""
        while True:
            try:
                await self._register(last_epoch, may_replace=True)
                break
            except (NodeIdInUseError, StoreError, OutcomeUnknownError, LeaseNotFoundError) as error:
                if self._clock.monotonic_s() >= deadline_s:
                    is_taken = isinstance(error, NodeIdInUseError)
                    code = (
                        ErrorCode.duplicate_broker_registration if is_taken else ErrorCode.kafka_storage_error
                    )
                    raise KafkaError(code, str(error)) from error
                if refusal != str(error):
                    refusal = str(error)
                    log.warning("cannot register yet: %s", refusal)
            await asyncio.sleep(_RETRY_S)
        self._keeping = asyncio.create_task(self._keep())

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Notice at once when the registration is gone."""
        if self._registration.node_id in delta.brokers_changed and image.revision > self.epoch:
            present = image.brokers.get(self._registration.node_id)
            if present is None or present.incarnation != self._registration.incarnation:
                self._may_have_ended()
        self._wake.set()

    async def taken_back(self) -> None:
        """Return when the controller has taken account of the registration, and this broker may lead."""
        node_id = self._registration.node_id
        while (
            self._metadata.image.revision < self.epoch
            or self._is_replaced()
            or self._metadata.image.is_fenced(node_id)
        ):
            self._wake.clear()
            await self._wake.wait()

    async def hand_over(self) -> None:
        """Say that this broker is about to stop, and wait until it leads nothing: others have taken over, or
        nobody can. Gives up after a while, or where the store cannot be reached.
        """
        node_id = self._registration.node_id
        try:
            async with asyncio.timeout(_HAND_OVER_TIMEOUT_S):
                while node_id not in self._metadata.image.stopping or (
                    _leads_anything(self._metadata.image, node_id)
                ):
                    await self._announce_stop()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_RETRY_S):
                            self._wake.clear()
                            await self._wake.wait()
        except (TimeoutError, StoreError) as error:
            log.warning(
                "stopping although others may not have taken over yet: %s", error or "it took too long"
            )

    async def _announce_stop(self) -> None:
        """Unless that is known already. It is lost with the lease that ends meanwhile."""
        node_id = self._registration.node_id
        if node_id in self._metadata.image.stopping:
            return
        stopping = Transaction(
            compares=(Compare.unchanged(model.broker_key(node_id), self.epoch),),
            writes=(Put(model.stopping_key(node_id), model.MARK, self.lease_id),),
        )
        with contextlib.suppress(OutcomeUnknownError, LeaseNotFoundError):
            await self._store.transaction(stopping)

    async def stop(self) -> None:
        """Give the lease back, and with it all that this broker was."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping
        if self._doubt is not None:
            self._doubt.cancel()
        try:
            async with asyncio.timeout(self._interval_s):
                await self._store.revoke_lease(self.lease_id)
        except (TimeoutError, StoreError, OutcomeUnknownError, LeaseNotFoundError) as error:
            log.warning("the lease ends by itself: %s", error or "the store did not answer")

    async def _register(self, last_epoch: int, *, may_replace: bool) -> None:
        sent_s = self._clock.monotonic_s()
        lease_id = await self._store.grant_lease(int(self._timeout_s * 1000))
        try:
            epoch = await register(
                self._store, self._registration, last_epoch, lease_id, may_replace=may_replace
            )
        except NodeIdInUseError:
            with contextlib.suppress(StoreError, OutcomeUnknownError, LeaseNotFoundError):
                await self._store.revoke_lease(lease_id)
            raise
        self.lease_id, self.epoch = lease_id, epoch
        log.info("registered in broker epoch %d", epoch)
        self._renewed(sent_s)

    async def _keep(self) -> None:
        while True:
            await self._pause(self._interval_s)
            sent_s = self._clock.monotonic_s()
            try:
                if self._is_replaced():
                    await self._register_anew()
                    continue
                async with asyncio.timeout(self._interval_s):
                    await self._store.keep_lease_alive(self.lease_id)
            except LeaseNotFoundError:
                await self._register_anew()
            except (StoreError, OutcomeUnknownError, TimeoutError) as error:
                log.warning("cannot renew the lease: %s", error or "the store did not answer")
            else:
                self._renewed(sent_s)

    async def _pause(self, seconds: float) -> None:
        """Until the next keepalive is due, or the registration is gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_replaced():
                    self._wake.clear()
                    await self._wake.wait()

    def _is_replaced(self) -> bool:
        """Whether the metadata has another registration than this, or none."""
        image = self._metadata.image
        if image.revision < self.epoch:
            return False
        present = image.brokers.get(self._registration.node_id)
        return present is None or present.epoch != self.epoch

    async def _register_anew(self) -> None:
        self._may_have_ended()
        log.warning("the lease has ended; registering anew")
        refusal = ""
        while True:
            try:
                return await self._register(self.epoch, may_replace=False)
            except (NodeIdInUseError, StoreError, OutcomeUnknownError, LeaseNotFoundError) as error:
                if refusal != str(error):
                    refusal = str(error)
                    log.error("this broker takes no part until it can register: %s", refusal)
            await asyncio.sleep(_RETRY_S)

    def _renewed(self, sent_s: float) -> None:
        left_s = sent_s + self._timeout_s * _BELIEVED - self._clock.monotonic_s()
        if left_s <= 0:
            return
        if self._doubt is not None:
            self._doubt.cancel()
        self._doubt = asyncio.get_running_loop().call_later(left_s, self._may_have_ended)
        if self.is_in_doubt:
            self.is_in_doubt = False
            for listener in self._listeners:
                listener.lease_renewed()

    def _may_have_ended(self) -> None:
        if not self.is_in_doubt:
            self.is_in_doubt = True
            log.warning("the lease may have ended: this broker leads nothing for now")
            for listener in self._listeners:
                listener.lease_in_doubt()


def _leads_anything(image: MetadataImage, node_id: int) -> bool:
    return any(state.leader == node_id for topic in image.topics.values() for state in topic.partitions)
