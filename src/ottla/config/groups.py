"""The keys of group coordination, and a single group's own configuration (KIP-848) over the broker's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ottla.config.definition import (
    INT,
    INT_MAX,
    LIST,
    LONG,
    SHORT,
    STRING,
    ConfigDef,
    ConfigError,
    UpdateMode,
    Values,
    at_least,
    between,
    by_name,
    list_of,
    one_of_ignoring_case,
)
from ottla.config.inert import inert_keys

GROUP_COORDINATOR_KEYS = (
    ConfigDef(
        "group.min.session.timeout.ms", INT, 6000, "The shortest session timeout a member may ask for."
    ),
    ConfigDef(
        "group.max.session.timeout.ms", INT, 1_800_000, "The longest session timeout a member may ask for."
    ),
    ConfigDef(
        "group.initial.rebalance.delay.ms",
        INT,
        500,
        "How long an empty classic group waits for another member before its first rebalance; each that "
        "comes lets it wait anew, up to the first one's rebalance timeout. Kafka's default is 3000, and 0 in "
        "the settings that it ships.",
        at_least(0),
    ),
    ConfigDef("group.max.size", INT, INT_MAX, "The most members of a classic group.", at_least(1)),
    ConfigDef(
        "group.coordinator.rebalance.protocols",
        LIST,
        ("classic", "consumer"),
        "Which group protocols are served: `classic` always is, share and streams groups are not yet, even "
        "when named.",
        list_of("consumer", "classic", "share", "streams", empty_allowed=False),
    ),
    ConfigDef(
        "group.consumer.session.timeout.ms",
        INT,
        45_000,
        "How long a member of a consumer group (KIP-848) may be silent before it is removed.",
        at_least(1),
    ),
    ConfigDef(
        "group.consumer.min.session.timeout.ms",
        INT,
        45_000,
        "The shortest session timeout a consumer group may be given.",
        at_least(1),
    ),
    ConfigDef(
        "group.consumer.max.session.timeout.ms",
        INT,
        60_000,
        "The longest session timeout a consumer group may be given.",
        at_least(1),
    ),
    ConfigDef(
        "group.consumer.heartbeat.interval.ms",
        INT,
        5000,
        "How often members of a consumer group are told to send heartbeats.",
        at_least(1),
    ),
    ConfigDef(
        "group.consumer.assignment.interval.ms",
        INT,
        1000,
        "The shortest time between two assignments of a consumer group.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "group.consumer.min.heartbeat.interval.ms",
        INT,
        5000,
        "The shortest heartbeat interval a consumer group may be given.",
        at_least(1),
    ),
    ConfigDef(
        "group.consumer.max.heartbeat.interval.ms",
        INT,
        15_000,
        "The longest heartbeat interval a consumer group may be given.",
        at_least(1),
    ),
    ConfigDef("group.consumer.max.size", INT, INT_MAX, "The most members of a consumer group.", at_least(1)),
    ConfigDef(
        "group.consumer.assignors",
        LIST,
        ("uniform", "range"),
        "The server-side assignors, the default first.",
        list_of("uniform", "range", empty_allowed=False),
    ),
    ConfigDef(
        "group.consumer.migration.policy",
        STRING,
        "bidirectional",
        "Whether a group may change between the classic and the consumer protocol while it has members.",
        one_of_ignoring_case("DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"),
    ),
    ConfigDef(
        "group.consumer.regex.refresh.interval.ms",
        INT,
        600_000,
        "How often the topics that match members' regular expressions are looked up again.",
        at_least(10_000),
        internal=True,
    ),
    ConfigDef(
        "ottla.group.consumer.rebalance.heartbeat.interval.ms",
        INT,
        500,
        "How often members of a consumer group are told to send heartbeats just after an assignment: only "
        "the answers tell them what they get and what they must give back. Kafka always tells the group's "
        "own interval, which holds here, too, where it is shorter.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.group.consumer.rebalance.settling.ms",
        INT,
        20_000,
        "How long after an assignment the heartbeat interval takes to grow back to the group's own.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.group.consumer.rebalance.heartbeats.per.second.max",
        INT,
        1000,
        "The most heartbeats a second that all groups together are told to send in shortened intervals; when "
        "many members rebalance at once, their intervals get longer instead.",
        at_least(1),
    ),
    ConfigDef(
        "offsets.commit.timeout.ms",
        INT,
        5000,
        "How long what groups and offsets are written with may take to be replicated, before it is refused.",
        at_least(1),
    ),
    ConfigDef(
        "offsets.topic.num.partitions",
        INT,
        50,
        "The partitions of `__consumer_offsets`; must not change once the topic exists.",
        at_least(1),
    ),
    ConfigDef(
        "offsets.topic.replication.factor",
        SHORT,
        3,
        "The replicas of `__consumer_offsets`, which waits for as many brokers. A single node has 1.",
        at_least(1),
    ),
    ConfigDef(
        "offsets.topic.segment.bytes",
        INT,
        100 << 20,
        "The segment size of `__consumer_offsets`.",
        at_least(1),
    ),
    ConfigDef(
        "offsets.topic.compression.codec",
        INT,
        0,
        "The codec of batches in `__consumer_offsets`: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.",
        between(0, 4),
    ),
    ConfigDef(
        "offsets.retention.minutes",
        INT,
        7 * 24 * 60,
        "How long the offsets of a group without members, or of a topic it no longer reads, are kept.",
        at_least(1),
    ),
    ConfigDef(
        "offsets.retention.check.interval.ms",
        LONG,
        600_000,
        "How often offsets are looked at for expiry.",
        at_least(1),
    ),
    ConfigDef(
        "offset.metadata.max.bytes",
        INT,
        4096,
        "The longest metadata text in a committed offset.",
        at_least(0),
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GroupCoordinatorConfig:
    """What the coordinators of groups are set up by; sizes in bytes."""

    group_min_session_timeout_ms: int
    group_max_session_timeout_ms: int
    group_initial_rebalance_delay_ms: int
    group_max_size: int
    group_coordinator_rebalance_protocols: tuple[str, ...]
    group_consumer_session_timeout_ms: int
    group_consumer_heartbeat_interval_ms: int
    group_consumer_assignment_interval_ms: int
    group_consumer_max_size: int
    group_consumer_assignors: tuple[str, ...]
    group_consumer_migration_policy: str
    group_consumer_regex_refresh_interval_ms: int
    ottla_group_consumer_rebalance_heartbeat_interval_ms: int
    ottla_group_consumer_rebalance_settling_ms: int
    ottla_group_consumer_rebalance_heartbeats_per_second_max: int
    offsets_commit_timeout_ms: int
    offsets_topic_num_partitions: int
    offsets_topic_replication_factor: int
    offsets_topic_segment_bytes: int
    offsets_topic_compression_codec: int
    offsets_retention_minutes: int
    offsets_retention_check_interval_ms: int
    offset_metadata_max_bytes: int

    @property
    def offsets_retention_ms(self) -> int:
        return self.offsets_retention_minutes * 60_000


def _of_one_group(name: str, doc: str) -> ConfigDef:
    behind = next(key for key in GROUP_COORDINATOR_KEYS if key.name == f"group.{name}")
    return behind._replace(name=name, doc=doc, synonyms=(behind.name,), update_mode=UpdateMode.READ_ONLY)


GROUP_CONFIGS: Mapping[str, ConfigDef] = by_name(
    (
        _of_one_group(
            "consumer.session.timeout.ms",
            "How long a member of this group may be silent before it is removed.",
        ),
        _of_one_group(
            "consumer.heartbeat.interval.ms",
            "How often members of this group are told to send heartbeats.",
        ),
        _of_one_group(
            "consumer.assignment.interval.ms",
            "The shortest time between two assignments of this group; members that come meanwhile wait.",
        ),
        *inert_keys("group"),
    )
)

_SESSION, _HEARTBEAT = "session.timeout.ms", "heartbeat.interval.ms"
_BOUNDED = {
    "consumer": (_SESSION, _HEARTBEAT, "assignment.interval.ms"),
    "share": (
        _SESSION,
        _HEARTBEAT,
        "assignment.interval.ms",
        "delivery.count.limit",
        "partition.max.record.locks",
        "record.lock.duration.ms",
    ),
    "streams": (_SESSION, _HEARTBEAT, "assignment.interval.ms"),
}
"""By type of group: the keys whose values lie between a minimum and a maximum that the broker has."""
_AT_MOST = {
    "streams.num.standby.replicas": "group.streams.max.standby.replicas",
    "streams.num.warmup.replicas": "group.streams.max.warmup.replicas",
}
_AT_LEAST = {"streams.task.offset.interval.ms": "group.streams.min.task.offset.interval.ms"}


def check_group_coordinator(value: Values) -> None:
    """Rules between the broker's keys; raises ConfigError."""
    _check_order(value, "group.min.session.timeout.ms", "group.max.session.timeout.ms")
    for kind, keys in _BOUNDED.items():
        for key in keys:
            least, default, most = (f"group.{kind}.{part}{key}" for part in ("min.", "", "max."))
            _check_order(value, least, default)
            _check_order(value, default, most)
        heartbeat, session = f"group.{kind}.{_HEARTBEAT}", f"group.{kind}.{_SESSION}"
        if value(heartbeat) >= value(session):
            raise ConfigError(f"{heartbeat} must be less than {session}", heartbeat)
    for key, most in _AT_MOST.items():
        _check_order(value, f"group.{key}", most)
    for key, least in _AT_LEAST.items():
        _check_order(value, least, f"group.{key}")
    protocols = value("group.coordinator.rebalance.protocols")
    if "classic" not in protocols:
        key = "group.coordinator.rebalance.protocols"
        raise ConfigError(
            f"Invalid value {','.join(protocols)} for configuration {key}: classic cannot be left out",
            key,
        )
    assignors = value("group.share.assignors")
    if len(assignors) != 1:
        key = "group.share.assignors"
        raise ConfigError(f"Invalid value {','.join(assignors)} for configuration {key}: expected one", key)


def _check_order(value: Values, smaller: str, greater: str) -> None:
    if value(smaller) > value(greater):
        raise ConfigError(f"{greater} must be greater than or equal to {smaller}", greater)


def check_group_configs(overrides: Mapping[str, str], value: Values) -> None:
    """Refuse what a group must not be given: `overrides` over the broker's values.

    Raises ConfigError for an unknown name, a value its key refuses, one outside the broker's bounds, and a
    session timeout that is no longer than the heartbeat interval.
    """
    own = {name: group_definition(name).parse(text) for name, text in overrides.items()}

    def effective(name: str) -> Any:
        return own[name] if name in own else value(f"group.{name}")

    for kind, keys in _BOUNDED.items():
        for key in keys:
            if f"{kind}.{key}" in own:
                least, most = value(f"group.{kind}.min.{key}"), value(f"group.{kind}.max.{key}")
                _check_bounds(f"{kind}.{key}", own[f"{kind}.{key}"], least, most)
        session, heartbeat = f"{kind}.{_SESSION}", f"{kind}.{_HEARTBEAT}"
        if own.keys() & {session, heartbeat} and effective(session) <= effective(heartbeat):
            raise ConfigError(f"{session} must be greater than {heartbeat}", session)
    for name, chosen in own.items():
        if name in _AT_MOST or name in _AT_LEAST:
            least = value(_AT_LEAST[name]) if name in _AT_LEAST else 0
            _check_bounds(name, chosen, least, value(_AT_MOST[name]) if name in _AT_MOST else INT_MAX)
    if own.get("streams.assignor.name", "sticky") not in value("group.streams.assignors"):
        known = ", ".join(value("group.streams.assignors"))
        raise ConfigError(f"streams.assignor.name must be one of {known}", "streams.assignor.name")
    if str(own.get("errors.deadletterqueue.topic.name", "")).startswith("__"):
        name = "errors.deadletterqueue.topic.name"
        raise ConfigError(f"{name} must not name an internal topic, which __ at the beginning is for", name)


def _check_bounds(name: str, value: Any, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{name} must be between {least} and {most}, which the broker's settings are", name)


def group_definition(name: str) -> ConfigDef:
    definition = GROUP_CONFIGS.get(name)
    if definition is None:
        raise ConfigError(f"Unknown group config name: {name}", name)
    return definition
