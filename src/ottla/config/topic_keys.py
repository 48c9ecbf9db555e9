"""Every key that Kafka 4 accepts for a topic.

Each key falls back on broker keys (`retention.ms` on `log.retention.ms`, then minutes, then hours); the first
name in `synonyms` is the one that Kafka calls the topic key's server default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ottla.config.definition import (
    ConfigDef,
    ConfigType,
    ConfigValue,
    Effect,
    at_least,
    between,
    by_name,
    list_of,
    matching,
    one_of,
    or_value,
)

LONG_MAX = (1 << 63) - 1
DAY_MS = 24 * 60 * 60 * 1000

COMPRESSION_TYPES = ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
CLEANUP_POLICIES = ("compact", "delete")
TIMESTAMP_TYPES = ("CreateTime", "LogAppendTime")
COMPRESSION_LEVELS = {
    "gzip": (-1, or_value(-1, between(1, 9))),
    "lz4": (9, between(1, 17)),
    "zstd": (3, between(-131072, 22)),
}

_NO_TIERED_STORAGE = "Without effect: Ottla keeps all segments on local disk."
_THROTTLE_PATTERN = r"\*|[0-9]+:[0-9]+|none"


def _topic(
    name: str,
    kind: ConfigType,
    default: ConfigValue,
    doc: str,
    synonyms: tuple[str, ...] = (),
    **rest: Any,
) -> ConfigDef:
    return ConfigDef(name=name, type=kind, default=default, doc=doc, synonyms=synonyms, **rest)


_BOOLEAN, _STRING, _INT = ConfigType.BOOLEAN, ConfigType.STRING, ConfigType.INT
_LONG, _DOUBLE, _LIST = ConfigType.LONG, ConfigType.DOUBLE, ConfigType.LIST

_CLEANING = (
    _topic(
        "cleanup.policy",
        _LIST,
        ("delete",),
        "What happens to old segments. `delete` drops them by age and size, `compact` keeps the last record "
        "of each key; both may be given, and an empty list keeps everything.",
        ("log.cleanup.policy",),
        validator=list_of(*CLEANUP_POLICIES),
    ),
    _topic(
        "delete.retention.ms",
        _LONG,
        DAY_MS,
        "How long a compacted topic keeps a tombstone once compacted, so that readers who started from the "
        "beginning still see the deletion.",
        ("log.cleaner.delete.retention.ms",),
        validator=at_least(0),
    ),
    _topic(
        "max.compaction.lag.ms",
        _LONG,
        LONG_MAX,
        "The longest a record may stay uncompacted; also rolls the active segment of a compacted topic.",
        ("log.cleaner.max.compaction.lag.ms",),
        validator=at_least(1),
    ),
    _topic(
        "min.cleanable.dirty.ratio",
        _DOUBLE,
        0.5,
        "The share of a log that must be uncompacted before the cleaner takes it up.",
        ("log.cleaner.min.cleanable.ratio",),
        validator=between(0, 1),
    ),
    _topic(
        "min.compaction.lag.ms",
        _LONG,
        0,
        "The shortest time that a record stays uncompacted.",
        ("log.cleaner.min.compaction.lag.ms",),
        validator=at_least(0),
    ),
    _topic(
        "retention.bytes",
        _LONG,
        -1,
        "The size to which a partition may grow before `delete` drops its oldest segments; -1 for no limit.",
        ("log.retention.bytes",),
    ),
    _topic(
        "retention.ms",
        _LONG,
        7 * DAY_MS,
        "The age at which `delete` drops a segment, by its newest timestamp; -1 for no limit.",
        ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
        validator=at_least(-1),
    ),
)

_SEGMENTS = (
    _topic(
        "file.delete.delay.ms",
        _LONG,
        60_000,
        "How long files of a removed segment stay on disk, so that reads in progress can end.",
        ("log.segment.delete.delay.ms",),
        validator=at_least(0),
    ),
    _topic(
        "flush.messages",
        _LONG,
        LONG_MAX,
        "Sync the log to disk after this many records.",
        ("log.flush.interval.messages",),
        validator=at_least(1),
    ),
    _topic(
        "flush.ms",
        _LONG,
        LONG_MAX,
        "Sync the log to disk when unsynced records are this old.",
        ("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
        validator=at_least(0),
    ),
    _topic(
        "index.interval.bytes",
        _INT,
        4096,
        "How many bytes of log lie between two entries of the offset index.",
        ("log.index.interval.bytes",),
        validator=at_least(0),
    ),
    _topic(
        "preallocate",
        _BOOLEAN,
        False,
        "Reserve a new segment's whole size on disk when it is created. Without effect: files grow as they "
        "are written.",
        ("log.preallocate",),
        effect=Effect.NONE,
    ),
    _topic(
        "segment.bytes",
        _INT,
        1 << 30,
        "The size at which the active segment is closed and a new one begun.",
        ("log.segment.bytes",),
        validator=at_least(1 << 20),
    ),
    _topic(
        "segment.index.bytes",
        _INT,
        10 << 20,
        "The largest offset index; a segment whose index is full is closed.",
        ("log.index.size.max.bytes",),
        validator=at_least(4),
    ),
    _topic(
        "segment.jitter.ms",
        _LONG,
        0,
        "Up to this much, at random, is taken off `segment.ms`, so that segments do not all roll at once.",
        ("log.roll.jitter.ms", "log.roll.jitter.hours"),
        validator=at_least(0),
    ),
    _topic(
        "segment.ms",
        _LONG,
        7 * DAY_MS,
        "The age at which a segment is closed although it is not full.",
        ("log.roll.ms", "log.roll.hours"),
        validator=at_least(1),
    ),
    _topic(
        "internal.segment.bytes",
        _INT,
        None,
        "Replaces `segment.bytes` without its lower bound; for tests.",
        internal=True,
    ),
)

_RECORDS = (
    _topic(
        "compression.type",
        _STRING,
        "producer",
        "The codec in which batches are kept: `producer` keeps what was sent, others recompress.",
        ("compression.type",),
        validator=one_of(*COMPRESSION_TYPES),
    ),
    *(
        _topic(
            f"compression.{codec}.level",
            _INT,
            level,
            f"The level for batches that the broker compresses with {codec}.",
            (f"compression.{codec}.level",),
            validator=validator,
        )
        for codec, (level, validator) in COMPRESSION_LEVELS.items()
    ),
    _topic(
        "max.message.bytes",
        _INT,
        1048588,
        "The largest record batch that is accepted, as it is sent (compressed).",
        ("message.max.bytes",),
        validator=at_least(0),
    ),
    _topic(
        "message.timestamp.after.max.ms",
        _LONG,
        3_600_000,
        "How far a record's CreateTime may lie ahead of the broker's clock.",
        ("log.message.timestamp.after.max.ms",),
        validator=at_least(0),
    ),
    _topic(
        "message.timestamp.before.max.ms",
        _LONG,
        LONG_MAX,
        "How far a record's CreateTime may lie behind the broker's clock.",
        ("log.message.timestamp.before.max.ms",),
        validator=at_least(0),
    ),
    _topic(
        "message.timestamp.type",
        _STRING,
        "CreateTime",
        "Whose clock a record's timestamp is: the producer's (CreateTime) or the broker's (LogAppendTime).",
        ("log.message.timestamp.type",),
        validator=one_of(*TIMESTAMP_TYPES),
    ),
)

_REPLICATION = (
    _topic(
        "min.insync.replicas",
        _INT,
        1,
        "How many replicas must be in sync for an `acks=all` write to be accepted.",
        ("min.insync.replicas",),
        validator=at_least(1),
    ),
    _topic(
        "unclean.leader.election.enable",
        _BOOLEAN,
        False,
        "Whether a replica that is not in sync may lead when no other is left, at the price of lost records. "
        "Without effect: there is one replica, and it is always in sync.",
        ("unclean.leader.election.enable",),
        effect=Effect.NONE,
    ),
    *(
        _topic(
            f"{role}.replication.throttled.replicas",
            _LIST,
            (),
            f"The replicas whose {role} traffic is throttled. Without effect: replication is not throttled.",
            validator=matching(_THROTTLE_PATTERN, "a list of partition:broker pairs, * or none"),
            effect=Effect.NONE,
        )
        for role in ("follower", "leader")
    ),
)

_WITHOUT_EFFECT = (
    _topic(
        "errors.deadletterqueue.group.enable",
        _BOOLEAN,
        False,
        "Whether share groups may use the topic for undeliverable records. Without effect yet.",
        effect=Effect.NONE,
    ),
    _topic(
        "local.retention.bytes",
        _LONG,
        -2,
        f"The size to keep locally of a tiered topic. {_NO_TIERED_STORAGE}",
        ("log.local.retention.bytes",),
        validator=at_least(-2),
        effect=Effect.NONE,
    ),
    _topic(
        "local.retention.ms",
        _LONG,
        -2,
        f"The age to keep locally of a tiered topic. {_NO_TIERED_STORAGE}",
        ("log.local.retention.ms",),
        validator=at_least(-2),
        effect=Effect.NONE,
    ),
    _topic(
        "remote.copy.lag.bytes",
        _LONG,
        -1,
        f"How many newer bytes delay a segment's upload. {_NO_TIERED_STORAGE}",
        ("log.remote.copy.lag.bytes",),
        validator=at_least(-1),
        effect=Effect.NONE,
    ),
    _topic(
        "remote.copy.lag.ms",
        _LONG,
        0,
        f"How long a segment's upload is delayed. {_NO_TIERED_STORAGE}",
        ("log.remote.copy.lag.ms",),
        validator=at_least(-1),
        effect=Effect.NONE,
    ),
    _topic(
        "remote.log.copy.disable",
        _BOOLEAN,
        False,
        f"Stop uploading a tiered topic. {_NO_TIERED_STORAGE}",
        effect=Effect.NONE,
    ),
    _topic(
        "remote.log.delete.on.disable",
        _BOOLEAN,
        False,
        f"Delete uploaded segments when tiering is switched off. {_NO_TIERED_STORAGE}",
        effect=Effect.NONE,
    ),
    _topic(
        "remote.storage.enable",
        _BOOLEAN,
        False,
        f"Tiered storage for the topic; `true` is refused. {_NO_TIERED_STORAGE}",
        effect=Effect.NONE,
    ),
)

TOPIC_CONFIGS: Mapping[str, ConfigDef] = by_name(
    (*_CLEANING, *_SEGMENTS, *_RECORDS, *_REPLICATION, *_WITHOUT_EFFECT)
)
