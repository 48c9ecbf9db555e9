"""The keys of making, describing and deleting topics."""

from __future__ import annotations

from dataclasses import dataclass

from ottla.config.definition import BOOLEAN, INT, LONG, ConfigDef, at_least, between
from ottla.config.topic import TopicDefaults

CONTROLLER_KEYS = (
    ConfigDef(
        "num.partitions",
        INT,
        1,
        "How many partitions a topic gets that is created without a count.",
        at_least(1),
    ),
    ConfigDef(
        "default.replication.factor",
        INT,
        1,
        "How many replicas a topic gets that is created without a count.",
        between(1, 32767),
    ),
    ConfigDef(
        "auto.create.topics.enable",
        BOOLEAN,
        True,
        "Whether asking for the metadata of an unknown topic creates it, where the client allows that.",
    ),
    ConfigDef("delete.topic.enable", BOOLEAN, True, "Whether topics can be deleted."),
    ConfigDef(
        "max.request.partition.size.limit",
        INT,
        2000,
        "The most partitions in one DescribeTopicPartitions response.",
        at_least(1),
    ),
    ConfigDef(
        "broker.session.timeout.ms",
        INT,
        9_000,
        "In a cluster: how long a broker is counted on that is not heard of. Then others lead in its place.",
    ),
    ConfigDef(
        "broker.heartbeat.interval.ms", INT, 2_000, "In a cluster: how often a broker says that it is there."
    ),
    ConfigDef(
        "initial.broker.registration.timeout.ms",
        INT,
        60_000,
        "In a cluster: how long a broker that starts tries to register, as while another one has its id.",
    ),
    ConfigDef(
        "controlled.shutdown.enable",
        BOOLEAN,
        True,
        "In a cluster: whether a broker that is stopped has others lead in its place first.",
    ),
    ConfigDef(
        "auto.leader.rebalance.enable",
        BOOLEAN,
        True,
        "In a cluster: whether partitions go back to their preferred leaders by themselves.",
    ),
    ConfigDef(
        "leader.imbalance.check.interval.seconds",
        LONG,
        300,
        "In a cluster: how often it is looked for partitions whose preferred leader does not lead.",
        at_least(1),
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ControllerConfig(TopicDefaults):
    """What is asked when topics are made, described and deleted."""

    num_partitions: int
    default_replication_factor: int
    auto_create_topics_enable: bool
    delete_topic_enable: bool
    max_request_partition_size_limit: int
    broker_session_timeout_ms: int
    broker_heartbeat_interval_ms: int
    initial_broker_registration_timeout_ms: int
    controlled_shutdown_enable: bool
    auto_leader_rebalance_enable: bool
    leader_imbalance_check_interval_seconds: int
