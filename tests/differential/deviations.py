"""Where Ottla's answers differ from Kafka's on purpose, and why: the only differences that tests let pass.

A deviation that no longer occurs fails its scenario.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

ANY = object()
"""Stands for whatever a broker answers."""

ABSENT = "<absent>"
_EVERY_VERSION = range(-(1 << 15), 1 << 15)


@dataclass(frozen=True)
class Deviation:
    """Fields of the answers of one scenario."""

    scenario: str
    """Where it must occur."""
    field: str
    """`Api.path`, with `[]` for any element or the identity of one; `*` at the end for all below."""
    kafka: Any
    ottla: Any
    why: str
    versions: range = _EVERY_VERSION
    everywhere: bool = False
    """It may occur in other scenarios as well."""

    def allows(self, field: str, kafka: Any, ottla: Any) -> bool:
        """Whether this is the difference that is meant."""
        pattern = re.escape(self.field).replace(r"\[\]", r"\[[^]]*\]").replace(r"\*", ".*")
        return (
            bool(re.fullmatch(pattern, field, re.DOTALL))
            and (self.kafka is ANY or self.kafka == kafka)
            and (self.ottla is ANY or self.ottla == ottla)
        )


_NOT_SERVED = {
    "transactions are not coordinated yet": (24, 25, 26, 27, 28, 65, 66),
    "there is no authentication yet": (17, 36, 38, 39, 40, 41, 50, 51),
    "there are no share groups yet": (76, 77, 78, 79, 83, 84, 85, 86, 87, 90, 91, 92),
    "there are no streams groups yet": (88, 89, 93),
    "there is no KRaft quorum": (80, 81, 94),
}
_NO_FEATURES = "there are no versioned features"
_NO_QUORUM = "there is no KRaft quorum to describe"
_NO_QUOTAS = "there are no quotas yet, and none are taken"
_AT_ONCE = "a topic that Metadata creates is there at once, so that the client need not ask again"
_NO_SUCH_LEVEL = "Kafka fails over an isolation level that is none; such a one reads uncommitted records"
_PACE = "while a group moves, its members are asked to come back sooner (KIP-848 lets the broker choose)"

DEVIATIONS: tuple[Deviation, ...] = (
    *(
        Deviation("test_api_versions", f"ApiVersions.api_keys[{key}]", ANY, ABSENT, why)
        for why, keys in _NOT_SERVED.items()
        for key in keys
    ),
    Deviation(
        "test_api_versions",
        "ApiVersions.api_keys[18].max_version",
        5,
        4,
        "it has nothing that Ottla would say",
    ),
    Deviation(
        "test_api_versions", "ApiVersions.supported_features[]", ANY, ABSENT, _NO_FEATURES, range(3, 5)
    ),
    Deviation(
        "test_api_versions", "ApiVersions.finalized_features[]", ANY, ABSENT, _NO_FEATURES, range(3, 5)
    ),
    Deviation("test_api_versions", "ApiVersions.finalized_features_epoch", ANY, 0, _NO_FEATURES, range(3, 5)),
    Deviation("test_metadata_creates_topics", "Metadata.topics[]*", ANY, ANY, _AT_ONCE),
    Deviation(
        "test_metadata_without_name_or_id",
        "Metadata.*",
        ANY,
        ANY,
        "Kafka fails over the whole request; here the topic alone is unknown",
        range(12, 13),
    ),
    Deviation(
        "test_frames_that_mean_nothing",
        "Metadata.bytes",
        ANY,
        "closed",
        "lengths below -1 and text that is no UTF-8 are refused; Kafka takes them for null and other text",
    ),
    Deviation("test_quorum", "DescribeQuorum.error_code", 0, 35, _NO_QUORUM),
    Deviation("test_quorum", "DescribeQuorum.topics[]", ANY, ABSENT, _NO_QUORUM),
    Deviation("test_quorum", "DescribeQuorum.nodes[]", ANY, ABSENT, _NO_QUORUM, range(2, 3)),
    Deviation("test_alter_quotas", "AlterClientQuotas.entries[].error_code", ANY, 35, _NO_QUOTAS),
    Deviation(
        "test_describe_broker_loggers",
        "DescribeConfigs.results[8 1].error_code",
        0,
        42,
        "there are no log4j loggers to configure",
    ),
    Deviation(
        "test_describe_twice",
        "DescribeConfigs.results[]",
        ANY,
        ABSENT,
        "a resource that is asked for twice is described once: answers stay in proportion to what there is",
    ),
    Deviation(
        "test_describe_broker",
        "DescribeConfigs.results[].configs[broker.id]*",
        ANY,
        ANY,
        "`broker.id` is another name of `node.id`, and not set where that is",
    ),
    Deviation(
        "test_describe_broker",
        "DescribeConfigs.results[].configs[node.id].synonyms[node.id 5]",
        ABSENT,
        ANY,
        "`node.id` has a default",
    ),
    Deviation(
        "test_describe_broker",
        "DescribeConfigs.results[].configs[group.initial.rebalance.delay.ms].synonyms"
        "[group.initial.rebalance.delay.ms 5].value",
        "3000",
        "500",
        "a single broker's clients are few and near, and shall not wait for seconds",
    ),
    Deviation(
        "test_create_two_colliding_names",
        "CreateTopics.topics[]*",
        ANY,
        ANY,
        "new names that collide with one another are refused as well; Kafka looks at the topics that exist",
    ),
    Deviation("test_beat", "ConsumerGroupHeartbeat.heartbeat_interval_ms", ANY, ANY, _PACE, everywhere=True),
    Deviation("test_fetch_at_no_isolation_level", "Fetch.responses[]*", ANY, ANY, _NO_SUCH_LEVEL),
    Deviation("test_fetch_at_no_isolation_level", "Fetch.error_code", -1, 0, _NO_SUCH_LEVEL, range(7, 19)),
    Deviation(
        "test_list_offsets_at_no_isolation_level",
        "ListOffsets.topics[].partitions[]*",
        ANY,
        ANY,
        _NO_SUCH_LEVEL,
    ),
    Deviation(
        "test_produce_twice_in_one_request",
        "Produce.responses[].partition_responses[]*",
        ABSENT,
        ANY,
        "both batches for a partition are taken; Kafka forgets the first",
    ),
    Deviation(
        "test_produce_twice_in_one_request",
        "Fetch.*",
        ANY,
        ANY,
        "both batches for a partition were taken",
    ),
)
