"""The settings of consumers, under Kafka's names and with its defaults."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from ottla.client.core.fetch_session import READ_COMMITTED, READ_UNCOMMITTED, FetchSettings
from ottla.client.core.positions import OffsetReset
from ottla.client.errors import ConfigurationError
from ottla.client.settings import INT_MAX, LONG_MAX, ClientSettings, flag, number, optional_text, text, texts

_DURATION: Final = re.compile(
    r"P(?:(?P<d>\d+)D)?(?:T(?=\d)(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?", re.ASCII
)
_BY_DURATION: Final = "by_duration:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConsumerSettings:
    """As Kafka's `ConsumerConfig`. `queued.max.messages.kbytes`, which bounds what is fetched ahead of the
    application, is librdkafka's; here it holds for all of a consumer's partitions together.
    """

    group_id: str | None = optional_text()
    group_instance_id: str | None = optional_text()
    group_protocol: str = text("classic", choices=("classic", "consumer"), fold=str.lower)
    group_remote_assignor: str | None = optional_text()
    partition_assignment_strategy: tuple[str, ...] = texts(("range", "cooperative-sticky"))
    session_timeout_ms: int = number(45_000, low=1)
    heartbeat_interval_ms: int = number(3_000, low=1)
    max_poll_interval_ms: int = number(300_000, low=1)
    max_poll_records: int = number(500, low=1)
    auto_offset_reset: str = text("latest")
    enable_auto_commit: bool = flag(True)
    auto_commit_interval_ms: int = number(5_000)
    allow_auto_create_topics: bool = flag(True)
    exclude_internal_topics: bool = flag(True)
    isolation_level: str = text(
        "read_uncommitted", choices=("read_uncommitted", "read_committed"), fold=str.lower
    )
    check_crcs: bool = flag(True)
    client_rack: str = text("")
    fetch_min_bytes: int = number(1)
    fetch_max_bytes: int = number(50 * 1024 * 1024)
    fetch_max_wait_ms: int = number(500)
    max_partition_fetch_bytes: int = number(1024 * 1024)
    queued_max_messages_kbytes: int = number(65_536, low=1, high=INT_MAX // 1024)

    def __post_init__(self) -> None:
        self.offset_reset()
        if self.group_id is None and self.group_instance_id is not None:
            raise ConfigurationError("group.instance.id is given without group.id")
        if self.group_id == "":
            raise ConfigurationError("group.id is empty")
        if not self.partition_assignment_strategy:
            raise ConfigurationError("partition.assignment.strategy names no assignor")
        if self.group_protocol == "classic":
            if self.group_remote_assignor is not None:
                raise ConfigurationError("group.remote.assignor needs group.protocol=consumer")
            if self.heartbeat_interval_ms >= self.session_timeout_ms:
                raise ConfigurationError("heartbeat.interval.ms must be less than session.timeout.ms")

    def offset_reset(self) -> OffsetReset:
        """`auto.offset.reset`, read; ConfigurationError for what it does not take."""
        policy = self.auto_offset_reset.strip()
        if policy.lower() in {"earliest", "latest", "none"}:
            return OffsetReset(policy.lower())
        if policy.lower().startswith(_BY_DURATION):
            return OffsetReset("by_duration", duration_ms(policy[len(_BY_DURATION) :]))
        raise ConfigurationError(
            f"auto.offset.reset={policy!r}: must be earliest, latest, none or by_duration:<ISO 8601>"
        )

    def fetching(self, client: ClientSettings) -> FetchSettings:
        committed = self.isolation_level == "read_committed"
        return FetchSettings(
            max_wait_ms=self.fetch_max_wait_ms,
            min_bytes=self.fetch_min_bytes,
            max_bytes=min(self.fetch_max_bytes, client.receive_message_max_bytes),
            partition_max_bytes=self.max_partition_fetch_bytes,
            isolation_level=READ_COMMITTED if committed else READ_UNCOMMITTED,
            client_rack=self.client_rack,
            buffer_bytes=self.queued_max_messages_kbytes * 1024,
            retry_backoff_ms=client.retry_backoff_ms,
            metadata_max_age_ms=min(client.metadata_max_age_ms, LONG_MAX),
        )


def duration_ms(text_: str) -> int:
    """Of an ISO 8601 duration of days and less, as `P7D` or `PT1H30M`; else ConfigurationError."""
    found = _DURATION.fullmatch(text_.strip().upper())
    if found is None or not any(found.groups()):
        raise ConfigurationError(f"{text_!r} is no ISO 8601 duration (PT1H, P7D)")
    days, hours, minutes, seconds = (float(found[each] or 0) for each in "dhms")
    return int((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000)
