"""The keys of group coordination: the broker's, and those that a single group may override (KIP-848)."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.config.definition import (
    ConfigDef,
    ConfigType,
    ConfigValue,
    Effect,
    Importance,
    UpdateMode,
    Validator,
    at_least,
    between,
    by_name,
    list_of,
    one_of,
    one_of_ignoring_case,
)

INT_MAX = (1 << 31) - 1

_INT, _LONG, _SHORT, _LIST = ConfigType.INT, ConfigType.LONG, ConfigType.SHORT, ConfigType.LIST
_HIGH, _MEDIUM = Importance.HIGH, Importance.MEDIUM


def _key(
    name: str,
    kind: ConfigType,
    default: ConfigValue,
    validator: Validator | None,
    doc: str,
    importance: Importance = _MEDIUM,
) -> ConfigDef:
    return ConfigDef(
        name=name, type=kind, default=default, validator=validator, doc=doc, importance=importance
    )


_CLASSIC = (
    _key(
        "group.min.session.timeout.ms", _INT, 6000, None, "The shortest session timeout a member may ask for."
    ),
    _key(
        "group.max.session.timeout.ms",
        _INT,
        1_800_000,
        None,
        "The longest session timeout a member may ask for.",
    ),
    _key(
        "group.initial.rebalance.delay.ms",
        _INT,
        500,
        at_least(0),
        "How long an empty classic group waits for another member before its first rebalance; each that "
        "comes lets it wait anew, up to the first one's rebalance timeout. Kafka's default is 3000, and 0 in "
        "the settings that it ships.",
    ),
    _key("group.max.size", _INT, INT_MAX, at_least(1), "The most members of a classic group."),
    _key(
        "group.coordinator.rebalance.protocols",
        _LIST,
        ("classic", "consumer"),
        list_of("classic", "consumer", "share", "streams"),
        "Which group protocols are served: `classic` always is, share and streams groups are not yet, even "
        "when named.",
    ),
)

_CONSUMER = (
    _key(
        "group.consumer.session.timeout.ms",
        _INT,
        45_000,
        at_least(1),
        "How long a member of a consumer group (KIP-848) may be silent before it is removed.",
    ),
    _key(
        "group.consumer.min.session.timeout.ms",
        _INT,
        45_000,
        at_least(1),
        "The shortest session timeout a consumer group may be given.",
    ),
    _key(
        "group.consumer.max.session.timeout.ms",
        _INT,
        60_000,
        at_least(1),
        "The longest session timeout a consumer group may be given.",
    ),
    _key(
        "group.consumer.heartbeat.interval.ms",
        _INT,
        5000,
        at_least(1),
        "How often members of a consumer group are told to send heartbeats.",
    ),
    ConfigDef(
        name="group.consumer.assignment.interval.ms",
        type=_INT,
        default=1000,
        validator=at_least(0),
        doc="The shortest time between two assignments of a consumer group.",
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    _key(
        "group.consumer.min.heartbeat.interval.ms",
        _INT,
        5000,
        at_least(1),
        "The shortest heartbeat interval a consumer group may be given.",
    ),
    _key(
        "group.consumer.max.heartbeat.interval.ms",
        _INT,
        15_000,
        at_least(1),
        "The longest heartbeat interval a consumer group may be given.",
    ),
    _key("group.consumer.max.size", _INT, INT_MAX, at_least(1), "The most members of a consumer group."),
    _key(
        "group.consumer.assignors",
        _LIST,
        ("uniform", "range"),
        list_of("uniform", "range", empty_allowed=False),
        "The server-side assignors, the default first.",
    ),
    _key(
        "group.consumer.migration.policy",
        ConfigType.STRING,
        "bidirectional",
        one_of_ignoring_case("disabled", "downgrade", "upgrade", "bidirectional"),
        "Whether a group may change between the classic and the consumer protocol while it has members.",
    ),
    ConfigDef(
        name="group.consumer.regex.refresh.interval.ms",
        type=_INT,
        default=600_000,
        validator=at_least(10_000),
        doc="How often the topics that match members' regular expressions are looked up again.",
        internal=True,
    ),
)

_CONSUMER_REBALANCE = (
    _key(
        "ottla.group.consumer.rebalance.heartbeat.interval.ms",
        _INT,
        500,
        at_least(1),
        "How often members of a consumer group are told to send heartbeats just after an assignment: only "
        "the answers tell them what they get and what they must give back. Kafka always tells the group's "
        "own interval, which holds here, too, where it is shorter.",
    ),
    _key(
        "ottla.group.consumer.rebalance.settling.ms",
        _INT,
        20_000,
        at_least(1),
        "How long after an assignment the heartbeat interval takes to grow back to the group's own.",
    ),
    _key(
        "ottla.group.consumer.rebalance.heartbeats.per.second.max",
        _INT,
        1000,
        at_least(1),
        "The most heartbeats a second that all groups together are told to send in shortened intervals; when "
        "many members rebalance at once, their intervals get longer instead.",
    ),
)

_OFFSETS = (
    _key(
        "offsets.topic.num.partitions",
        _INT,
        50,
        at_least(1),
        "The partitions of `__consumer_offsets`; must not change once the topic exists.",
        _HIGH,
    ),
    _key(
        "offsets.topic.replication.factor",
        _SHORT,
        1,
        at_least(1),
        "The replicas of `__consumer_offsets`. Kafka's default is 3; 1 lets a single broker start.",
        _HIGH,
    ),
    _key(
        "offsets.topic.segment.bytes",
        _INT,
        100 << 20,
        at_least(1),
        "The segment size of `__consumer_offsets`.",
        _HIGH,
    ),
    _key(
        "offsets.topic.compression.codec",
        _INT,
        0,
        between(0, 4),
        "The codec of batches in `__consumer_offsets`: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.",
        _HIGH,
    ),
    _key(
        "offsets.retention.minutes",
        _INT,
        7 * 24 * 60,
        at_least(1),
        "How long the offsets of a group without members, or of a topic it no longer reads, are kept.",
        _HIGH,
    ),
    _key(
        "offsets.retention.check.interval.ms",
        _LONG,
        600_000,
        at_least(1),
        "How often offsets are looked at for expiry.",
        _HIGH,
    ),
    _key(
        "offset.metadata.max.bytes",
        _INT,
        4096,
        at_least(0),
        "The longest metadata text in a committed offset.",
        _HIGH,
    ),
)

BROKER_GROUP_KEYS = (*_CLASSIC, *_CONSUMER, *_CONSUMER_REBALANCE, *_OFFSETS)

_NOT_YET = "Without effect: Ottla serves no {} groups yet."


def _group(
    name: str, default: ConfigValue, validator: Validator | None, doc: str, effect: Effect = Effect.HONOURED
) -> ConfigDef:
    kind = ConfigType.INT if type(default) is int else ConfigType.STRING
    if isinstance(default, bool):
        kind = ConfigType.BOOLEAN
    prefix, _, key = name.partition(".")
    has_broker_key = key in ("session.timeout.ms", "heartbeat.interval.ms", "assignment.interval.ms")
    synonyms = (f"group.{prefix}.{key}",) if has_broker_key else ()
    return ConfigDef(
        name=name, type=kind, default=default, validator=validator, doc=doc, synonyms=synonyms, effect=effect
    )


_GROUP_KEYS = (
    _group(
        "consumer.session.timeout.ms",
        45_000,
        at_least(1),
        "How long a member of this group may be silent before it is removed.",
    ),
    _group(
        "consumer.heartbeat.interval.ms",
        5000,
        at_least(1),
        "How often members of this group are told to send heartbeats.",
    ),
    _group(
        "consumer.assignment.interval.ms",
        1000,
        at_least(0),
        "The shortest time between two assignments of this group; members that come meanwhile wait for it.",
    ),
    *(
        _group(name, default, validator, _NOT_YET.format(name.partition(".")[0]), effect=Effect.NONE)
        for name, default, validator in (
            ("share.session.timeout.ms", 45_000, at_least(1)),
            ("share.heartbeat.interval.ms", 5000, at_least(1)),
            ("share.record.lock.duration.ms", 30_000, at_least(1000)),
            ("share.delivery.count.limit", 5, at_least(2)),
            ("share.partition.max.record.locks", 2000, at_least(100)),
            ("share.auto.offset.reset", "latest", None),
            ("share.isolation.level", "read_uncommitted", one_of("read_committed", "read_uncommitted")),
            ("share.renew.acknowledge.enable", True, None),
            ("share.assignment.interval.ms", 1000, at_least(0)),
            ("streams.assignment.interval.ms", 1000, at_least(0)),
            ("streams.session.timeout.ms", 45_000, at_least(1)),
            ("streams.heartbeat.interval.ms", 5000, at_least(1)),
            ("streams.initial.rebalance.delay.ms", 3000, at_least(0)),
            ("streams.num.standby.replicas", 0, at_least(0)),
        )
    ),
)

GROUP_CONFIGS: Mapping[str, ConfigDef] = by_name(_GROUP_KEYS)
