"""Settings of producers, under Kafka's names and with its defaults."""

from __future__ import annotations

import dataclasses

from ottla.client.columns.partitioner import PARTITIONERS
from ottla.client.core.batches import Compression
from ottla.client.errors import ConfigurationError
from ottla.client.settings import INT_MAX, LONG_MAX, flag, is_unset, number, optional_text, text
from ottla.records.compression import Codec

_ACKS = {"all": -1, "-1": -1, "0": 0, "1": 1}
_DELIVERY_TIMEOUT_MS = 120_000
_MAX_IN_FLIGHT_IDEMPOTENT = 5
"""Batches of a partition that a broker remembers to tell repeats by."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProducerSettings:
    """`partitioner` takes librdkafka's names; `murmur2_random`, the default, is what Java's producers do.

    As with those, idempotence is left out where acks or retries do without it and nobody asked for it, and
    `delivery.timeout.ms` is two minutes, or as long as a request may take.
    """

    acks: str = text("all", choices=tuple(_ACKS), fold=str.lower)
    batch_size: int = number(16_384)
    linger_ms: int = number(5, high=LONG_MAX)
    buffer_memory: int = number(33_554_432, low=1_024, high=LONG_MAX)
    max_block_ms: int = number(60_000, high=LONG_MAX)
    max_request_size: int = number(1_048_576, low=1_024)
    max_in_flight_requests_per_connection: int = number(5, low=1)
    request_timeout_ms: int = number(30_000)
    delivery_timeout_ms: int = number(None)
    retries: int = number(INT_MAX)
    retry_backoff_ms: int = number(100, high=LONG_MAX)
    retry_backoff_max_ms: int = number(1_000, high=LONG_MAX)
    compression_type: str = text("none", choices=tuple(Codec.__members__), fold=str.lower)
    compression_gzip_level: int = number(-1, low=-1, high=9)
    compression_lz4_level: int = number(9, low=1, high=17)
    compression_zstd_level: int = number(3, low=-131_072, high=22)
    enable_idempotence: bool = flag(None)
    transactional_id: str | None = optional_text()
    transaction_timeout_ms: int = number(60_000)
    partitioner: str = text("murmur2_random", choices=tuple(PARTITIONERS), fold=str.lower)
    allow_auto_create_topics: bool = flag(True)
    metadata_max_idle_ms: int = number(300_000, low=5_000, high=LONG_MAX)

    def __post_init__(self) -> None:
        least_ms = min(self.linger_ms + self.request_timeout_ms, INT_MAX)
        if is_unset(self.delivery_timeout_ms):
            object.__setattr__(self, "delivery_timeout_ms", max(_DELIVERY_TIMEOUT_MS, least_ms))
        if self.delivery_timeout_ms < least_ms:
            raise ConfigurationError(
                "delivery.timeout.ms must not be less than linger.ms and request.timeout.ms together"
            )
        if is_unset(self.enable_idempotence):
            object.__setattr__(self, "enable_idempotence", self.required_acks == -1 and self.retries > 0)
        if self.transactional_id is not None and not self.enable_idempotence:
            raise ConfigurationError("transactional.id needs enable.idempotence=true, acks=all and retries")
        if self.transactional_id == "":
            raise ConfigurationError("transactional.id must not be empty")
        if not self.enable_idempotence:
            return
        if self.required_acks != -1:
            raise ConfigurationError(f"acks={self.acks} needs enable.idempotence=false")
        if self.max_in_flight_requests_per_connection > _MAX_IN_FLIGHT_IDEMPOTENT:
            raise ConfigurationError(
                "max.in.flight.requests.per.connection above 5 needs enable.idempotence=false"
            )
        if self.retries == 0:
            raise ConfigurationError("retries=0 needs enable.idempotence=false")

    @property
    def required_acks(self) -> int:
        """-1 for all, 0 or 1."""
        return _ACKS[self.acks]

    @property
    def compression(self) -> Compression:
        codec = Codec[self.compression_type]
        level = {
            Codec.gzip: None if self.compression_gzip_level == -1 else self.compression_gzip_level,
            Codec.lz4: self.compression_lz4_level,
            Codec.zstd: self.compression_zstd_level,
        }.get(codec)
        return Compression(codec, level)
