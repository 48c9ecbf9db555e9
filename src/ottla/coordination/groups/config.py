"""The settings that coordinators read, under Kafka's names."""

from __future__ import annotations

from dataclasses import dataclass

_INT32_MAX = 2**31 - 1
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCoordinatorConfig:
    """Defaults are the broker's. Times are milliseconds unless the name says otherwise."""

    group_min_session_timeout_ms: int = 6_000
    group_max_session_timeout_ms: int = 30 * _MINUTE_MS
    group_initial_rebalance_delay_ms: int = 500
    group_max_size: int = _INT32_MAX
    classic_group_new_member_join_timeout_ms: int = 5 * _MINUTE_MS
    """How long a member whose first join is parked may stay without a sign of life; fixed in Kafka."""

    offset_metadata_max_bytes: int = 4096
    offsets_retention_minutes: int = 7 * 24 * 60
    offsets_retention_check_interval_ms: int = 10 * _MINUTE_MS

    group_consumer_session_timeout_ms: int = 45_000
    group_consumer_heartbeat_interval_ms: int = 5_000
    group_consumer_max_size: int = _INT32_MAX
    group_consumer_assignors: tuple[str, ...] = ("uniform", "range")
    group_consumer_migration_policy: str = "bidirectional"
    group_consumer_assignment_interval_ms: int = 1_000
    group_consumer_regex_refresh_interval_ms: int = 10 * _MINUTE_MS
    ottla_group_consumer_rebalance_heartbeat_interval_ms: int = 500
    ottla_group_consumer_rebalance_heartbeats_per_second_max: int = 1_000
    ottla_group_consumer_rebalance_settling_ms: int = 20_000

    @property
    def offsets_retention_ms(self) -> int:
        return self.offsets_retention_minutes * _MINUTE_MS
