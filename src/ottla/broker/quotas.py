"""Holds clients to their quotas: counts what they take, and mutes the connections of those who take too much.

As in Kafka an answer goes out at once and says how long the client has to wait (KIP-219); so long the broker
does not read from its connection. What nobody has a quota of is None here, and costs nothing.

The time of requests is that of the one event loop: 100 % is all of it, which Kafka calls 100 % of one thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ottla.broker.meter import Meter
from ottla.broker.request import RequestContext
from ottla.clock import Clock
from ottla.config.quotas import QuotaConfig
from ottla.metadata.image import ImageDelta, MetadataImage
from ottla.metadata.quotas import (
    CONNECTION_CREATION_RATE,
    CONSUMER_BYTE_RATE,
    CONTROLLER_MUTATION_RATE,
    IP,
    PRODUCER_BYTE_RATE,
    REQUEST_PERCENTAGE,
)
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.fetch_request import FetchRequest
from ottla.quotas.clients import Limits, MutationQuota, RateQuota
from ottla.quotas.rates import Window

_EXEMPT: Final = frozenset({17, 27, 36})
"""SaslHandshake and SaslAuthenticate, and WriteTxnMarkers, which brokers send to each other"""


async def _no_listeners(_bounds: Mapping[str | None, float], _window: Window) -> None:
    """Before there are some."""


class ClientQuotas:
    """What clients of this broker are held to, as the metadata has it now."""

    def __init__(self, config: QuotaConfig, clock: Clock) -> None:
        self._clock = clock
        self._window = Window(config.quota_window_num, config.quota_window_size_seconds * 1000)
        self._mutation_window = Window(
            config.controller_quota_window_num, config.controller_quota_window_size_seconds * 1000
        )
        self.produce: RateQuota | None = None
        self.fetch: RateQuota | None = None
        self.time: RateQuota | None = None
        self.mutations: MutationQuota | None = None
        self.limit_rates: Callable[[Mapping[str | None, float], Window], Awaitable[None]] = _no_listeners
        """Told how many connections a second may come from addresses"""

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """As a subscriber of the metadata."""
        if delta.quotas_changed:
            await self.follow(image)

    async def follow(self, image: MetadataImage) -> None:
        """Hold clients to what the image says."""
        self.produce = self._rate(self.produce, image, PRODUCER_BYTE_RATE)
        self.fetch = self._rate(self.fetch, image, CONSUMER_BYTE_RATE)
        self.time = self._rate(self.time, image, REQUEST_PERCENTAGE, self._window.sample_ms)
        limits = Limits(image.quotas, CONTROLLER_MUTATION_RATE)
        if not limits:
            self.mutations = None
        elif self.mutations is None:
            self.mutations = MutationQuota(limits, self._mutation_window)
        else:
            self.mutations.follow(limits)
        by_address = {
            entity[0][1]: quotas.limits[CONNECTION_CREATION_RATE]
            for entity, quotas in image.quotas.items()
            if entity[0][0] == IP and CONNECTION_CREATION_RATE in quotas.limits
        }
        await self.limit_rates(by_address, self._window)

    def _rate(
        self, known: RateQuota | None, image: MetadataImage, name: str, wait_max_ms: int | None = None
    ) -> RateQuota | None:
        limits = Limits(image.quotas, name)
        if not limits:
            return None
        if known is None:
            return RateQuota(limits, self._window, wait_max_ms)
        known.follow(limits)
        return known

    def produced(self, context: RequestContext, *, time_counts: bool) -> int:
        """A produce request has come, and is answered now; its client waits so many milliseconds."""
        wait_ms = 0 if self.produce is None else self._record(self.produce, context, context.body_bytes)
        if time_counts:
            wait_ms = max(wait_ms, self._time_wait_ms(context))
        if wait_ms:
            context.session.mute(wait_ms)
        return wait_ms

    def fetched(self, context: RequestContext, size: int) -> int:
        """A consumer is to be sent `size` bytes; it waits so many milliseconds for them instead."""
        time_wait_ms = self._time_wait_ms(context)
        wait_ms = 0 if self.fetch is None else self._record(self.fetch, context, size)
        wait_ms = max(wait_ms, time_wait_ms)
        if wait_ms:
            if self.fetch is not None:
                user, client_id = _who(context)
                self.fetch.take_back(user, client_id, size, self._now_ms())
            context.session.mute(wait_ms)
        return wait_ms

    def at_most(self, context: RequestContext, fetch: FetchRequest) -> FetchRequest:
        """The request for no more bytes than the consumer can ever be given at once."""
        most = None if self.fetch is None else self.fetch.most(*_who(context))
        if most is None:
            return fetch
        most = min(fetch.max_bytes, most)
        return fetch._replace(max_bytes=most, min_bytes=min(fetch.min_bytes, most))

    def answered(self, context: RequestContext) -> int:
        """Another request is answered now; how long its client has to wait, in milliseconds."""
        wait_ms = 0 if context.api_key in _EXEMPT else self._time_wait_ms(context)
        if wait_ms:
            context.session.mute(wait_ms)
        return wait_ms

    def permit(self, context: RequestContext, *, strict_from: int) -> MutationPermit:
        """To change partitions; who asks at a version from `strict_from` on is refused what is too much,
        others only have to wait.
        """
        return MutationPermit(self.mutations, context, self._now_ms, context.api_version >= strict_from)

    def meter(self) -> Meter:
        """Of the time that the broker spends on a request from now on."""
        return Meter(self._clock.monotonic_s)

    def _record(self, quota: RateQuota, context: RequestContext, value: float) -> int:
        user, client_id = _who(context)
        return quota.record(user, client_id, value, self._now_ms())

    def _time_wait_ms(self, context: RequestContext) -> int:
        meter = context.meter
        if self.time is None or meter is None:
            return 0
        return self._record(self.time, context, meter.seconds() * 100)

    def _now_ms(self) -> int:
        return int(self._clock.monotonic_s() * 1000)


def _who(context: RequestContext) -> tuple[str, str]:
    return context.session.principal.name, context.client_id or ""


class MutationPermit:
    """One request's permit to create and delete partitions."""

    def __init__(
        self,
        quota: MutationQuota | None,
        context: RequestContext,
        now_ms: Callable[[], int],
        strict: bool,
    ) -> None:
        self._quota = quota
        self._context = context
        self._now_ms = now_ms
        self._strict = strict
        self._counted: dict[str, KafkaError | None] = {}
        self._until_ms = 0

    def take(self, topic: str, partitions: int) -> None:
        """Count a change of the topic, once, however often it is planned.

        Raises KafkaError(throttling_quota_exceeded) where it is not to be done.
        """
        if self._quota is None:
            return
        if topic not in self._counted:
            now_ms = self._now_ms()
            user, client_id = _who(self._context)
            wait_ms = self._quota.take(user, client_id, partitions, now_ms, strict=self._strict)
            self._until_ms = max(self._until_ms, now_ms + wait_ms if wait_ms else 0)
            self._counted[topic] = KafkaError(_EXCEEDED, _REASON) if wait_ms and self._strict else None
        refusal = self._counted[topic]
        if refusal is not None:
            raise refusal

    def wait_ms(self) -> int:
        """How long the client has to wait; its connection is muted so long."""
        left_ms = max(self._until_ms - self._now_ms(), 0) if self._until_ms else 0
        if left_ms:
            self._context.session.mute(left_ms)
        return left_ms


_EXCEEDED: Final = ErrorCode.throttling_quota_exceeded
_REASON: Final = "The throttling quota has been exceeded."
