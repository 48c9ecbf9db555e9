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
    "there are no share groups yet": (76, 77, 78, 79, 83, 84, 85, 86, 87, 90, 91, 92),
    "there are no streams groups yet": (88, 89, 93),
    "there is no KRaft quorum": (80, 81, 94),
}
_NO_FEATURE = {
    "eligible.leader.replicas.version": "there is one replica of each partition",
    "kraft.version": "there is no KRaft quorum",
    "share.version": "there are no share groups yet",
    "streams.version": "there are no streams groups yet",
}
_NO_QUORUM = "there is no KRaft quorum to describe"
_AT_ONCE = "a topic that Metadata creates is there at once, so that the client need not ask again"
_ONCE = "what is asked for twice is told once, so that an answer is no large multiple of its request"
_NAMED = "every mention is answered; Kafka answers by partition, and forgets the others"
_START = "where the log begins is told with all refused records; Kafka does not know it before it parses them"
_NO_GROUP = "a join that is refused leaves no group behind"
_NO_SIZE = "Kafka fails over a negative size; it is none"
_NONSENSE = "Kafka fails over what makes no sense; it is refused as such"
_NO_SUCH_LEVEL = "Kafka fails over an isolation level that is none; such a one reads uncommitted records"
_PACE = "while a group moves, its members are asked to come back sooner (KIP-848 lets the broker choose)"

DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "test_acls_are_made_shown_and_deleted",
        "CreateAcls.results[0].error_code",
        -1,
        42,
        "What is no ACL is told to be an invalid request, not an unknown error of the server.",
    ),
    *(
        Deviation("test_api_versions", f"ApiVersions.api_keys[{key}]", ANY, ABSENT, why)
        for why, keys in _NOT_SERVED.items()
        for key in keys
    ),
    *(
        Deviation(
            "test_api_versions",
            f"ApiVersions.{kind}_features[{name:>12}]",
            ANY,
            ABSENT,
            why,
            range(3 if kind == "finalized" else 4, 6),
        )
        for name, why in _NO_FEATURE.items()
        for kind in ("supported", "finalized")
        if (kind, name) != ("finalized", "kraft.version")
    ),
    Deviation(
        "test_api_versions",
        "ApiVersions.supported_features[metadata.version].min_version",
        7,
        33,
        "metadata in the forms of older releases of Kafka is neither read nor written",
        range(3, 6),
    ),
    *(
        Deviation(
            "test_api_versions",
            f"ApiVersions.{kind}_features[ottla.metadata.version]",
            ABSENT,
            ANY,
            "what brokers of a cluster may write into its metadata is a feature of its own here",
            range(3, 6),
        )
        for kind in ("supported", "finalized")
    ),
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
    Deviation(
        "test_add_partitions_of_no_transaction",
        "AddPartitionsToTxn.*",
        ANY,
        ANY,
        "a request of no transactions is answered; Kafka answers with the last one's result, so never",
    ),
    Deviation("test_quorum", "DescribeQuorum.error_code", 0, 35, _NO_QUORUM),
    Deviation("test_quorum", "DescribeQuorum.topics[]", ANY, ABSENT, _NO_QUORUM),
    Deviation("test_quorum", "DescribeQuorum.nodes[]", ANY, ABSENT, _NO_QUORUM, range(2, 3)),
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
    *(
        Deviation(scenario, field, ANY, ABSENT, _ONCE)
        for scenario, field in (
            ("test_describe_twice", "DescribeConfigs.results[]"),
            ("test_describe_groups_twice", "DescribeGroups.groups[]"),
            ("test_describe_consumer_groups_twice", "ConsumerGroupDescribe.groups[]"),
            ("test_fetch_offsets_of_a_group_twice", "OffsetFetch.groups[]"),
        )
    ),
    Deviation("test_join_wrongly", "DescribeGroups.groups[].error_code", 0, 69, _NO_GROUP),
    Deviation("test_join_wrongly", "DescribeGroups.groups[].group_state", "Empty", "Dead", _NO_GROUP),
    Deviation(
        "test_list_offsets_of_partitions_twice", "ListOffsets.topics[].partitions[]", ABSENT, ANY, _NAMED
    ),
    Deviation("test_list_offsets_of_no_partitions", "ListOffsets.topics[]", ABSENT, ANY, _NAMED),
    Deviation("test_commit_for_no_partitions", "OffsetCommit.topics[]", ABSENT, ANY, _NAMED),
    Deviation("test_delete_offsets_of_no_partitions", "OffsetDelete.topics[]", ABSENT, ANY, _NAMED),
    Deviation(
        "test_partitions_of_unknown_topics",
        "DescribeTopicPartitions.topics[ 00000000-0000-0000-0000-000000000000]*",
        ANY,
        ANY,
        "Kafka fails over a topic without a name; it is invalid",
    ),
    Deviation(
        "test_fetch_of_a_topic_that_went",
        "Fetch.responses[].partitions[].error_code",
        ANY,
        100,
        "a session by ids knows no names: the id is unknown, not the topic",
        range(13, 19),
    ),
    Deviation(
        "test_fetch_of_a_topic_that_went",
        "Fetch.responses[].partitions[].aborted_transactions",
        None,
        ANY,
        "as for any id that is unknown",
        range(13, 19),
    ),
    Deviation(
        "test_produce_odd_headers_of_batches",
        "Produce.responses[].partition_responses[].log_start_offset",
        ANY,
        ANY,
        _START,
        range(5, 14),
    ),
    *(
        Deviation(
            "test_produce_odd_headers_of_batches",
            f"Produce.responses[].partition_responses[].{field}",
            kafka,
            ours,
            "a producer id below -1 is refused; Kafka takes it for none",
        )
        for field, kafka, ours in (("error_code", 0, 87), ("base_offset", 14, -1))
    ),
    Deviation(
        "test_produce_odd_compressed_records",
        "Produce.responses[].partition_responses[].log_start_offset",
        0,
        -1,
        _START,
    ),
    Deviation(
        "test_produce_odd_compressed_records",
        "Produce.responses[].partition_responses[].error_code",
        87,
        2,
        "zstd data that ends early is corrupt, like that of the other codecs",
    ),
    Deviation(
        "test_produce_idempotently",
        "Produce.responses[].partition_responses[].error_code",
        47,
        87,
        "a numbered batch without an epoch is refused as such; Kafka takes it for one of an older epoch",
    ),
    *(
        Deviation(
            "test_produce_of_two_producers",
            f"Produce.responses[].partition_responses[].{field}",
            kafka,
            ours,
            "a batch that is of a transaction and has no producer is refused; Kafka takes it for plain",
        )
        for field, kafka, ours in (("error_code", 0, 87), ("base_offset", 1, -1))
    ),
    Deviation(
        "test_markers_that_are_out_of_date",
        "WriteTxnMarkers.markers[].topics[].partitions[].error_code",
        -1,
        42,
        _NONSENSE,
    ),
    Deviation("test_fetch_with_negative_sizes", "Fetch.responses[]*", ANY, ANY, _NO_SIZE),
    *(
        Deviation(
            scenario,
            "Produce.responses[].partition_responses[].log_start_offset",
            -1,
            0,
            _START,
            range(5, 14),
        )
        for scenario in (
            "test_produce_nothing",
            "test_produce_twice_in_one_request",
            "test_produce_old_magic",
            "test_produce_two_numbered_batches",
        )
    ),
    *(
        Deviation(scenario, "Produce.responses[].partition_responses[].error_code", -1, code, _NONSENSE)
        for scenario, code in (
            ("test_produce_odd_records", 87),
            ("test_produce_odd_headers_of_batches", 76),
            ("test_produce_odd_headers_of_batches", 2),
            ("test_produce_odd_compressed_records", 2),
        )
    ),
    Deviation(
        "test_credentials_of_nothing",
        "AlterUserScramCredentials.results[].error_code",
        -1,
        93,
        _NONSENSE,
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
