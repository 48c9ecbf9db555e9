"""The clients that tell of themselves, and when each of them may: pure."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from uuid import UUID

from ottla.metadata.client_metrics import Subscription
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.push_telemetry import PushTelemetryRequest
from ottla.records.compression import Codec

_INSTANCES_MAX: Final = 16_384
"""As in Kafka; the one that was silent for the longest gives way"""
_KEPT_MS: Final = 60_000
_ALL: Final = "*"
_DEFAULT_INTERVAL_MS: Final = 300_000
_ASK_AGAIN: Final = (ErrorCode.unknown_subscription_id, ErrorCode.unsupported_compression_type)
"""After these a client is expected to ask at once"""


class Instance:
    """One client; it may have several connections, to several brokers."""

    __slots__ = (
        "asked_ms",
        "interval_ms",
        "is_terminating",
        "last_error",
        "metrics",
        "pushed_ms",
        "seen_ms",
        "subscription_id",
        "subscriptions",
    )

    def __init__(self, instance_id: UUID, subscriptions: object, wanted: Iterable[Subscription]) -> None:
        """`subscriptions` is what `wanted` was chosen from."""
        self.subscriptions = subscriptions
        chosen = list(wanted)
        metrics = dict.fromkeys(name for each in chosen for name in each.metrics)
        self.metrics: tuple[str, ...] = (_ALL,) if _ALL in metrics else tuple(sorted(metrics))
        self.interval_ms = min((_DEFAULT_INTERVAL_MS, *(each.interval_ms for each in chosen)))
        # All brokers give the same, and another one where another thing is wanted.
        said = zlib.crc32(f"{self.metrics}{self.interval_ms}".encode()) ^ zlib.crc32(instance_id.bytes)
        self.subscription_id = said - (1 << 32) if said >> 31 else said
        self.asked_ms: int | None = None
        self.pushed_ms: int | None = None
        self.seen_ms = 0
        self.is_terminating = False
        self.last_error = ErrorCode.none


class Instances:
    """Those that this broker has heard of. Times are of a clock that does not jump, in milliseconds."""

    def __init__(self, new_uuid: Callable[[], UUID], max_bytes: Callable[[], int]) -> None:
        self._new_uuid = new_uuid
        self._max_bytes = max_bytes
        self._instances: OrderedDict[UUID, Instance] = OrderedDict()

    def __len__(self) -> int:
        return len(self._instances)

    def ask(
        self,
        instance_id: UUID | None,
        attributes: Mapping[str, str],
        subscriptions: Mapping[str, Subscription],
        now_ms: int,
    ) -> tuple[UUID, Instance]:
        """What a client is to send, and its id, which it may not have yet.

        Raises KafkaError(throttling_quota_exceeded) where it asks before its time.
        """
        if instance_id is None:
            instance_id = self._new_uuid()
        instance = self._find(instance_id, attributes, subscriptions, now_ms)
        last_ms = max(
            (each for each in (instance.asked_ms, instance.pushed_ms) if each is not None), default=None
        )
        if last_ms is None or now_ms - last_ms >= instance.interval_ms:
            instance.asked_ms = now_ms
        elif instance.last_error not in _ASK_AGAIN:
            raise KafkaError(
                ErrorCode.throttling_quota_exceeded, "the request arrived before the next push interval time"
            )
        instance.last_error = ErrorCode.none
        return instance_id, instance

    def push(
        self,
        message: PushTelemetryRequest,
        attributes: Mapping[str, str],
        subscriptions: Mapping[str, Subscription],
        now_ms: int,
    ) -> None:
        """Whether a client may send what it does.

        Raises KafkaError: invalid_request, throttling_quota_exceeded, unknown_subscription_id,
        unsupported_compression_type, telemetry_too_large.
        """
        if message.client_instance_id is None or message.client_instance_id.int == 1:
            raise KafkaError(ErrorCode.invalid_request, "invalid client instance id")
        instance = self._find(message.client_instance_id, attributes, subscriptions, now_ms)
        try:
            self._check(instance, message, now_ms)
        except KafkaError as error:
            instance.last_error = error.code
            raise
        finally:
            instance.is_terminating = message.terminating
        instance.last_error = ErrorCode.none

    def _check(self, instance: Instance, message: PushTelemetryRequest, now_ms: int) -> None:
        if instance.is_terminating:
            raise KafkaError(ErrorCode.invalid_request, "the client has said before that it ends")
        asked_ms, pushed_ms = instance.asked_ms, instance.pushed_ms
        # The first push follows what was asked before its time, so that not all clients push at once.
        has_asked = asked_ms is not None and (pushed_ms is None or asked_ms > pushed_ms)
        if has_asked or pushed_ms is None or now_ms - pushed_ms >= instance.interval_ms:
            instance.pushed_ms = now_ms
        elif not message.terminating:
            raise KafkaError(
                ErrorCode.throttling_quota_exceeded, "the request arrived before the next push interval time"
            )
        if message.subscription_id != instance.subscription_id:
            raise KafkaError(ErrorCode.unknown_subscription_id)
        if message.compression_type not in list(Codec):
            raise KafkaError(ErrorCode.unsupported_compression_type)
        if len(message.metrics) > self._max_bytes():
            raise KafkaError(ErrorCode.telemetry_too_large)

    def _find(
        self,
        instance_id: UUID,
        attributes: Mapping[str, str],
        subscriptions: Mapping[str, Subscription],
        now_ms: int,
    ) -> Instance:
        self._forget(now_ms)
        instance = self._instances.get(instance_id)
        if instance is None or instance.subscriptions is not subscriptions:
            told = {**attributes, "client_instance_id": str(instance_id)}
            wanted = [each for each in subscriptions.values() if each.is_for(told)]
            instance = self._instances[instance_id] = Instance(instance_id, subscriptions, wanted)
        instance.seen_ms = now_ms
        self._instances.move_to_end(instance_id)
        if len(self._instances) > _INSTANCES_MAX:
            self._instances.popitem(last=False)
        return instance

    def _forget(self, now_ms: int) -> None:
        """Those that were silent for long."""
        while self._instances:
            instance = next(iter(self._instances.values()))
            if now_ms - instance.seen_ms <= max(_KEPT_MS, 3 * instance.interval_ms):
                return
            self._instances.popitem(last=False)
