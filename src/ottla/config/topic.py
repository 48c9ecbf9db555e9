"""A topic's configuration, typed, from its overrides and the broker's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ottla.config.definition import ConfigDef, ConfigError, ConfigValue
from ottla.config.topic_keys import TOPIC_CONFIGS

if TYPE_CHECKING:
    from ottla.config.broker import BrokerConfig


class TopicConfig(NamedTuple):
    """What one topic's partitions are kept by; times in milliseconds, sizes in bytes, -1 for no limit."""

    cleanup_policy: frozenset[str]
    compression_gzip_level: int
    compression_lz4_level: int
    compression_type: str
    compression_zstd_level: int
    delete_retention_ms: int
    errors_deadletterqueue_group_enable: bool
    file_delete_delay_ms: int
    flush_messages: int
    flush_ms: int
    follower_replication_throttled_replicas: tuple[str, ...]
    index_interval_bytes: int
    leader_replication_throttled_replicas: tuple[str, ...]
    local_retention_bytes: int
    local_retention_ms: int
    max_compaction_lag_ms: int
    max_message_bytes: int
    message_timestamp_after_max_ms: int
    message_timestamp_before_max_ms: int
    message_timestamp_type: str
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    min_insync_replicas: int
    preallocate: bool
    remote_copy_lag_bytes: int
    remote_copy_lag_ms: int
    remote_log_copy_disable: bool
    remote_log_delete_on_disable: bool
    remote_storage_enable: bool
    retention_bytes: int
    retention_ms: int
    segment_bytes: int
    segment_index_bytes: int
    segment_jitter_ms: int
    segment_ms: int
    unclean_leader_election_enable: bool

    @property
    def compact(self) -> bool:
        return "compact" in self.cleanup_policy

    @property
    def delete(self) -> bool:
        return "delete" in self.cleanup_policy

    @property
    def max_segment_ms(self) -> int:
        """When an active segment rolls by age: a compacted topic rolls within `max.compaction.lag.ms`."""
        return min(self.segment_ms, self.max_compaction_lag_ms) if self.compact else self.segment_ms

    @property
    def compression_level(self) -> int | None:
        """The level for `compression_type`, where that codec has levels."""
        levels = {
            "gzip": self.compression_gzip_level,
            "lz4": self.compression_lz4_level,
            "zstd": self.compression_zstd_level,
        }
        return levels.get(self.compression_type)


def topic_config(overrides: Mapping[str, str], broker: BrokerConfig) -> TopicConfig:
    """The topic's configuration: `overrides` over what the broker's keys give.

    Raises ConfigError for a name no topic key has, a value its key refuses, and keys that contradict one
    another. Topics without overrides share one object.
    """
    if not overrides:
        return broker.topic_defaults
    config = broker.topic_defaults._replace(**parse_topic_overrides(overrides))
    check_topic_config(config)
    return config


def parse_topic_overrides(overrides: Mapping[str, str]) -> dict[str, Any]:
    """The overrides as typed fields of TopicConfig."""
    fields: dict[str, Any] = {}
    internal_segment_bytes: ConfigValue = None
    for name, text in overrides.items():
        definition = topic_definition(name)
        value = definition.parse(text)
        if definition.internal:
            internal_segment_bytes = value
        else:
            fields[definition.field] = value
    if "cleanup_policy" in fields:
        fields["cleanup_policy"] = frozenset(fields["cleanup_policy"])
    if internal_segment_bytes is not None:
        # Lets tests roll segments far below the smallest segment.bytes.
        fields["segment_bytes"] = internal_segment_bytes
    return fields


def topic_definition(name: str) -> ConfigDef:
    definition = TOPIC_CONFIGS.get(name)
    if definition is None:
        raise ConfigError(f"Unknown topic config name: {name}", name)
    return definition


def check_topic_config(config: TopicConfig) -> None:
    """Rules between keys; raises ConfigError."""
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms:
        raise ConfigError(
            f"conflict topic config setting min.compaction.lag.ms ({config.min_compaction_lag_ms}) > "
            f"max.compaction.lag.ms ({config.max_compaction_lag_ms})",
            "min.compaction.lag.ms",
        )
    if config.remote_storage_enable:
        raise ConfigError(
            "Tiered storage is disabled in the broker: remote.storage.enable can not be true.",
            "remote.storage.enable",
        )
