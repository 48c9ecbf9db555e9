"""A topic's keys, and its configuration, typed, from its overrides and the broker's defaults.

Each key falls back on broker keys (`retention.ms` on `log.retention.ms`, then minutes, then hours); the first
name in `synonyms` is the one that Kafka calls the topic key's server default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ottla.config.definition import (
    BOOLEAN,
    DAY_MS,
    DOUBLE,
    INT,
    LIST,
    LONG,
    LONG_MAX,
    STRING,
    ConfigDef,
    ConfigError,
    ConfigValue,
    at_least,
    between,
    by_name,
    list_of,
    matching,
    one_of,
    or_value,
)
from ottla.config.inert import inert_keys

LARGEST_RECORD = 2_147_483_639  # what Java can allocate
COMPRESSION_TYPES = ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
CLEANUP_POLICIES = ("compact", "delete")
TIMESTAMP_TYPES = ("CreateTime", "LogAppendTime")
COMPRESSION_LEVELS = {
    "gzip": (-1, or_value(-1, between(1, 9))),
    "lz4": (9, between(1, 17)),
    "zstd": (3, between(-131072, 22)),
}


_THROTTLED = matching(r"\*|[0-9]+:[0-9]+|", "a list of partition:broker pairs, or *")

TOPIC_KEYS = (
    ConfigDef(
        "cleanup.policy",
        LIST,
        ("delete",),
        "What happens to old segments. `delete` drops them by age and size, `compact` keeps the last record "
        "of each key; both may be given, and an empty list keeps everything.",
        list_of(*CLEANUP_POLICIES),
        synonyms=("log.cleanup.policy",),
    ),
    ConfigDef(
        "delete.retention.ms",
        LONG,
        DAY_MS,
        "How long a compacted topic keeps a tombstone once compacted, so that readers who started from the "
        "beginning still see the deletion.",
        at_least(0),
        synonyms=("log.cleaner.delete.retention.ms",),
    ),
    ConfigDef(
        "max.compaction.lag.ms",
        LONG,
        LONG_MAX,
        "The longest a record may stay uncompacted; also rolls the active segment of a compacted topic.",
        at_least(1),
        synonyms=("log.cleaner.max.compaction.lag.ms",),
    ),
    ConfigDef(
        "min.cleanable.dirty.ratio",
        DOUBLE,
        0.5,
        "The share of a log that must be uncompacted before the cleaner takes it up.",
        between(0, 1),
        synonyms=("log.cleaner.min.cleanable.ratio",),
    ),
    ConfigDef(
        "min.compaction.lag.ms",
        LONG,
        0,
        "The shortest time that a record stays uncompacted.",
        at_least(0),
        synonyms=("log.cleaner.min.compaction.lag.ms",),
    ),
    ConfigDef(
        "retention.bytes",
        LONG,
        -1,
        "The size to which a partition may grow before `delete` drops its oldest segments; -1 for no limit.",
        synonyms=("log.retention.bytes",),
    ),
    ConfigDef(
        "retention.ms",
        LONG,
        7 * DAY_MS,
        "The age at which `delete` drops a segment, by its newest timestamp; -1 for no limit.",
        at_least(-1),
        synonyms=("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
    ),
    ConfigDef(
        "file.delete.delay.ms",
        LONG,
        60_000,
        "How long files of a removed segment stay on disk, so that reads in progress can end.",
        at_least(0),
        synonyms=("log.segment.delete.delay.ms",),
    ),
    ConfigDef(
        "flush.messages",
        LONG,
        LONG_MAX,
        "Sync the log to disk after this many records.",
        at_least(1),
        synonyms=("log.flush.interval.messages",),
    ),
    ConfigDef(
        "flush.ms",
        LONG,
        LONG_MAX,
        "Sync the log to disk when unsynced records are this old.",
        at_least(0),
        synonyms=("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
    ),
    ConfigDef(
        "index.interval.bytes",
        INT,
        4096,
        "How many bytes of log lie between two entries of the offset index.",
        at_least(0),
        synonyms=("log.index.interval.bytes",),
    ),
    ConfigDef(
        "segment.bytes",
        INT,
        1 << 30,
        "The size at which the active segment is closed and a new one begun.",
        at_least(1 << 20),
        synonyms=("log.segment.bytes",),
    ),
    ConfigDef(
        "segment.index.bytes",
        INT,
        10 << 20,
        "The largest offset index; a segment whose index is full is closed.",
        at_least(4),
        synonyms=("log.index.size.max.bytes",),
    ),
    ConfigDef(
        "segment.jitter.ms",
        LONG,
        0,
        "Up to this much, at random, is taken off `segment.ms`, so that segments do not all roll at once.",
        at_least(0),
        synonyms=("log.roll.jitter.ms", "log.roll.jitter.hours"),
    ),
    ConfigDef(
        "segment.ms",
        LONG,
        7 * DAY_MS,
        "The age at which a segment is closed although it is not full.",
        at_least(1),
        synonyms=("log.roll.ms", "log.roll.hours"),
    ),
    ConfigDef(
        "internal.segment.bytes",
        INT,
        None,
        "Replaces `segment.bytes` without its lower bound; for tests.",
        internal=True,
    ),
    ConfigDef(
        "compression.type",
        STRING,
        "producer",
        "The codec in which batches are kept: `producer` keeps what was sent, others recompress.",
        one_of(*COMPRESSION_TYPES),
        synonyms=("compression.type",),
    ),
    *(
        ConfigDef(
            f"compression.{codec}.level",
            INT,
            level,
            f"The level for batches that the broker compresses with {codec}.",
            validator,
            synonyms=(f"compression.{codec}.level",),
        )
        for codec, (level, validator) in COMPRESSION_LEVELS.items()
    ),
    ConfigDef(
        "max.decompressed.message.bytes",
        INT,
        LARGEST_RECORD,
        "The largest record that is accepted in a compressed batch, as it is decompressed. "
        "`ottla.decompressed.batch.max.bytes` bounds all records of a batch together.",
        between(1, LARGEST_RECORD),
        synonyms=("max.decompressed.message.bytes",),
    ),
    ConfigDef(
        "max.message.bytes",
        INT,
        1048588,
        "The largest record batch that is accepted, as it is sent (compressed).",
        at_least(0),
        synonyms=("message.max.bytes",),
    ),
    ConfigDef(
        "message.timestamp.after.max.ms",
        LONG,
        3_600_000,
        "How far a record's CreateTime may lie ahead of the broker's clock.",
        at_least(0),
        synonyms=("log.message.timestamp.after.max.ms",),
    ),
    ConfigDef(
        "message.timestamp.before.max.ms",
        LONG,
        LONG_MAX,
        "How far a record's CreateTime may lie behind the broker's clock.",
        at_least(0),
        synonyms=("log.message.timestamp.before.max.ms",),
    ),
    ConfigDef(
        "message.timestamp.type",
        STRING,
        "CreateTime",
        "Whose clock a record's timestamp is: the producer's (CreateTime) or the broker's (LogAppendTime).",
        one_of(*TIMESTAMP_TYPES),
        synonyms=("log.message.timestamp.type",),
    ),
    ConfigDef(
        "min.insync.replicas",
        INT,
        1,
        "How many replicas must be in sync for an `acks=all` write to be accepted.",
        at_least(1),
        synonyms=("min.insync.replicas",),
    ),
    ConfigDef(
        "leader.replication.throttled.replicas",
        LIST,
        (),
        "Replicas that others copy no faster than `leader.replication.throttled.rate`: pairs of a partition "
        "and a broker, such as `0:1`, or `*` for all.",
        _THROTTLED,
    ),
    ConfigDef(
        "follower.replication.throttled.replicas",
        LIST,
        (),
        "Replicas that are copied no faster than `follower.replication.throttled.rate`, likewise.",
        _THROTTLED,
    ),
    ConfigDef(
        "unclean.leader.election.enable",
        BOOLEAN,
        False,
        "Whether a replica that is not in sync may lead where no other can: what others had is lost then.",
        synonyms=("unclean.leader.election.enable",),
    ),
    *inert_keys("topic"),
)

TOPIC_CONFIGS: Mapping[str, ConfigDef] = by_name(TOPIC_KEYS)


class TopicConfig(NamedTuple):
    """What one topic's partitions are kept by; times in milliseconds, sizes in bytes, -1 for no limit."""

    cleanup_policy: frozenset[str]
    compression_gzip_level: int
    compression_lz4_level: int
    compression_type: str
    compression_zstd_level: int
    delete_retention_ms: int
    file_delete_delay_ms: int
    flush_messages: int
    flush_ms: int
    index_interval_bytes: int
    max_compaction_lag_ms: int
    max_decompressed_message_bytes: int
    max_message_bytes: int
    message_timestamp_after_max_ms: int
    message_timestamp_before_max_ms: int
    message_timestamp_type: str
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    min_insync_replicas: int
    retention_bytes: int
    retention_ms: int
    segment_bytes: int
    segment_index_bytes: int
    segment_jitter_ms: int
    segment_ms: int
    leader_replication_throttled_replicas: tuple[str, ...]
    follower_replication_throttled_replicas: tuple[str, ...]
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


@dataclass(frozen=True, kw_only=True)
class TopicDefaults:
    """What the broker's keys (`log.retention.hours`, `message.max.bytes`, ...) come to, for every topic."""

    topic_defaults: TopicConfig


def topic_config(overrides: Mapping[str, str], broker: TopicDefaults) -> TopicConfig:
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
        elif definition.honoured:
            fields[definition.field] = value
        elif name == "remote.storage.enable" and value:
            raise ConfigError("There is no tiered storage here: remote.storage.enable can not be true.", name)
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
