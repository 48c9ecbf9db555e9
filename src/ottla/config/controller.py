"""The keys of making, describing and deleting topics."""

from __future__ import annotations

from dataclasses import dataclass

from ottla.config.definition import BOOLEAN, INT, ConfigDef, at_least, between
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
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ControllerConfig(TopicDefaults):
    """What is asked when topics are made, described and deleted."""

    num_partitions: int
    default_replication_factor: int
    auto_create_topics_enable: bool
    delete_topic_enable: bool
    max_request_partition_size_limit: int
