"""What concerns the broker as a whole, and requests that no broker expects."""

from __future__ import annotations

import struct
from typing import Any

from .scenario import Ask, scenario

SOFTWARE = {"client_software_name": "differential", "client_software_version": "1.0"}


@scenario("ApiVersions")
def test_api_versions(ask: Ask) -> None:
    answer = ask.quietly("ApiVersions", **SOFTWARE)
    served = {each["api_key"]: each for each in answer["api_keys"]}
    ask.note("ApiVersions", None, {**answer, "api_keys": list(served.values())})


@scenario("ApiVersions", versions=(3, 4, 5))
def test_api_versions_of_odd_clients(ask: Ask) -> None:
    for name, version in (("", ""), ("a b", "1"), ("-a", "1"), ("a", "1-"), ("ä", "1"), ("a", "")):
        answer = ask.quietly("ApiVersions", client_software_name=name, client_software_version=version)
        ask.note(
            "ApiVersions",
            None,
            {"error_code": answer.get("error_code"), "rows": bool(answer.get("api_keys"))},
        )


@scenario("ApiVersions", versions=(4, 5))
def test_api_versions_of_misled_clients(ask: Ask) -> None:
    known = ask.quietly("Metadata", topics=[])
    cluster_id, node_id = known["cluster_id"], known["brokers"][0]["node_id"]
    for cluster, node in (
        (cluster_id, node_id),
        (None, -1),
        ("another", node_id),
        (cluster_id, node_id + 1),
        ("", node_id),
        (None, node_id),
        (cluster_id, -1),
    ):
        answer = ask.quietly("ApiVersions", cluster_id=cluster, node_id=node, **SOFTWARE)
        ask.note(
            "ApiVersions",
            None,
            {"error_code": answer.get("error_code"), "rows": bool(answer.get("api_keys"))},
        )


@scenario("ApiVersions", versions=(6, 100, 32767))
def test_api_versions_above(ask: Ask) -> None:
    ask.note("ApiVersions", None, ask.raw(struct.pack(">hhih", 18, ask.version, 7, 1) + b"c" + b"\0\2a\2b\0"))


@scenario("ApiVersions", versions=(-1, -32768))
def test_api_versions_below(ask: Ask) -> None:
    ask.note("ApiVersions", None, ask.raw(struct.pack(">hhih", 18, ask.version, 7, 1) + b"c"))


@scenario("Metadata", versions=(-1, 14, 100))
def test_versions_that_are_not_served(ask: Ask) -> None:
    ask.note("Metadata", None, ask.raw(struct.pack(">hhih", 3, ask.version, 7, 1) + b"c" + b"\0\0\0\0\0"))


@scenario("Metadata", versions=(1,))
def test_frames_that_mean_nothing(ask: Ask) -> None:
    for request in (
        b"\0\3\0\1", struct.pack(">hhih", 3, 1, 7, 100) + b"c", struct.pack(">hhih", 999, 0, 7, -1),
        struct.pack(">hhih", -1, 0, 7, -1), struct.pack(">hhih", 3, 1, 7, -2),
        struct.pack(">hhih", 3, 1, 7, -1),
        struct.pack(">hhihi", 3, 1, 7, -1, -2), struct.pack(">hhihi", 3, 1, 7, -1, 2**31 - 1),
        struct.pack(">hhihih", 3, 1, 7, -1, 1, -1), struct.pack(">hhihih", 3, 1, 7, -1, 1, 5) + b"a",
        struct.pack(">hhihih", 3, 1, 7, -1, 1, 2) + b"\xff\xfe",
        struct.pack(">hhih", 3, 9, 7, -1) + b"\0\1\0\0\0\1",
    ):  # fmt: skip
        ask.note("Metadata", None, ask.raw(request))


@scenario("Metadata", versions=(1,))
def test_frames_without_a_header(ask: Ask) -> None:
    for request in (b"", b"\0"):
        ask.note("Metadata", None, ask.raw(request))


@scenario("DescribeQuorum")
def test_quorum(ask: Ask) -> None:
    for name in ("__cluster_metadata", "other"):
        answer = ask.quietly(
            "DescribeQuorum", topics=[{"topic_name": name, "partitions": [{"partition_index": 0}]}]
        )
        ask.note("DescribeQuorum", None, answer)


@scenario("UpdateFeatures")
def test_features(ask: Ask) -> None:
    ask("UpdateFeatures", timeout_ms=1000, feature_updates=[])


@scenario("UpdateFeatures", versions=(1, 2))
def test_unknown_features(ask: Ask) -> None:
    for feature, level, upgrade in (
        ("no.such.feature", 1, 1),
        ("no.such.feature", 0, 2),
        ("", 1, 1),
        ("group.version", 100, 1),
    ):
        update = {"feature": feature, "max_version_level": level, "upgrade_type": upgrade}
        ask("UpdateFeatures", timeout_ms=1000, feature_updates=[update], validate_only=True)


@scenario("UpdateFeatures", versions=(0, 1, 2))
def test_update_features(ask: Ask) -> None:
    def update(*updates: tuple[str, int, int], only: bool = False) -> None:
        wanted = [
            {"feature": name, "max_version_level": level, "upgrade_type": kind, "allow_downgrade": kind > 1}
            for name, level, kind in updates
        ]
        ask("UpdateFeatures", timeout_ms=1000, feature_updates=wanted, validate_only=only)
        ask.settle()
        levels = ask.quietly("ApiVersions", 4, **SOFTWARE)["finalized_features"]
        shown = [each for each in levels if each["name"] in {"group.version", "transaction.version"}]
        ask.note("ApiVersions", 4, {"finalized_features": shown})
        beat = {
            "group_id": ask.name("group"),
            "member_id": "m",
            "member_epoch": 7,
            "rebalance_timeout_ms": 1000,
        }
        ask("ConsumerGroupHeartbeat", 0, **beat, subscribed_topic_names=["t"], topic_partitions=[])
        ask("ConsumerGroupDescribe", 0, group_ids=[ask.name("group")])

    for level, kind in ((0, 1), (0, 0), (0, 4), (0, -1), (-1, 2), (2, 1), (2, 3), (1, 1), (1, 2), (1, 3)):
        update(("group.version", level, kind))
    update(("group.version", 0, 2), only=True)
    if ask.version == 0:  # its way to allow a downgrade is not heard
        return
    update(("group.version", 0, 2), ("transaction.version", 1, 3))
    update(("group.version", 1, 2))
    update(("group.version", 1, 1), ("transaction.version", 3, 1))
    update(("group.version", 7, 1), ("group.version", 1, 1), ("transaction.version", 2, 1))
    update(("metadata.version", 32, 2))
    update(("metadata.version", 32, 3))
    update(("metadata.version", 33, 1))


def elect(ask: Ask, election_type: int) -> None:
    topic = ask.topic(partitions=2)["name"]
    for name, partitions in ((topic, [0, 1]), (topic, [2, -1]), (ask.name("nowhere"), [0]), ("", [0])):
        wanted = [{"topic": name, "partitions": partitions}]
        ask("ElectLeaders", election_type=election_type, topic_partitions=wanted, timeout_ms=1000)
    ask("ElectLeaders", election_type=election_type, topic_partitions=[], timeout_ms=1000)


@scenario("ElectLeaders")
def test_elect_preferred_leaders(ask: Ask) -> None:
    elect(ask, 0)


@scenario("ElectLeaders", versions=(1, 2))
def test_elect_unclean_leaders(ask: Ask) -> None:
    elect(ask, 1)


@scenario("ElectLeaders", versions=(1, 2))
def test_elect_in_no_known_way(ask: Ask) -> None:
    elect(ask, 2)


@scenario("AlterPartitionReassignments")
def test_reassign(ask: Ask) -> None:
    topic = ask.topic()

    def reassign(replicas: list[int] | None, name: str = topic["name"], partition: int = 0) -> None:
        partitions = [{"partition_index": partition, "replicas": replicas}]
        ask("AlterPartitionReassignments", timeout_ms=1000, topics=[{"name": name, "partitions": partitions}])

    for replicas in ([1], [2], [1, 2], [], [1, 1], [-1], None):
        reassign(replicas)
    reassign([1], partition=1)
    reassign([1], ask.name("nowhere"))
    reassign([1], "")
    ask("AlterPartitionReassignments", timeout_ms=1000, topics=[])


@scenario("ListPartitionReassignments")
def test_list_reassignments(ask: Ask) -> None:
    topic = ask.topic()
    for topics in (
        None,
        [],
        [{"name": topic["name"], "partition_indexes": [0, 1]}],
        [{"name": ask.name("nowhere"), "partition_indexes": [0]}],
    ):
        ask("ListPartitionReassignments", timeout_ms=1000, topics=topics)


@scenario("DescribeLogDirs")
def test_log_dirs(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    for asked in ([0, 1], [0], [2], []):
        ask("DescribeLogDirs", topics=[{"topic": topic["name"], "partitions": asked}])
    ask("DescribeLogDirs", topics=[{"topic": ask.name("nowhere"), "partitions": [0]}])
    ask("DescribeLogDirs", topics=[])


@scenario("AlterReplicaLogDirs")
def test_alter_log_dirs(ask: Ask) -> None:
    topic = ask.topic()
    for path in ("/elsewhere", "relative", ""):
        for name, partition in ((topic["name"], 0), (topic["name"], 1), (ask.name("nowhere"), 0)):
            ask(
                "AlterReplicaLogDirs",
                dirs=[{"path": path, "topics": [{"name": name, "partitions": [partition]}]}],
            )
    ask("AlterReplicaLogDirs", dirs=[])


@scenario("UnregisterBroker")
def test_unregister(ask: Ask) -> None:
    for broker_id in (5, -1):
        ask("UnregisterBroker", broker_id=broker_id)


@scenario("DescribeClientQuotas")
def test_quotas(ask: Ask) -> None:
    for strict in (False, True):
        for components in (
            [], [{"entity_type": "user", "match_type": 0, "match": "u"}],
            [{"entity_type": "user", "match_type": 1, "match": None}],
            [{"entity_type": "user", "match_type": 2, "match": None}],
            [{"entity_type": "user", "match_type": 3, "match": None}],
            [{"entity_type": "nonsense", "match_type": 0, "match": "u"}],
            [{"entity_type": "", "match_type": 0, "match": "u"}],
            [{"entity_type": "user", "match_type": 0, "match": None}],
            [{"entity_type": "user", "match_type": 1, "match": "u"}],
            [{"entity_type": "user", "match_type": 0, "match": "u"}] * 2,
            [{"entity_type": each, "match_type": 2, "match": None} for each in ("ip", "user")],
        ):  # fmt: skip
            ask("DescribeClientQuotas", components=components, strict=strict)


@scenario("DescribeAcls")
def test_acls(ask: Ask) -> None:
    ask("DescribeAcls", resource_type_filter=1, pattern_type_filter=1, operation=1, permission_type=1)


@scenario("CreateAcls")
def test_create_acls(ask: Ask) -> None:
    acl = {
        "resource_type": 2, "resource_name": "t", "resource_pattern_type": 3, "principal": "User:a",
        "host": "*",
        "operation": 3, "permission_type": 3,
    }  # fmt: skip
    ask("CreateAcls", creations=[acl])
    ask("CreateAcls", creations=[])


@scenario("DeleteAcls")
def test_delete_acls(ask: Ask) -> None:
    wanted = {"resource_type_filter": 2, "pattern_type_filter": 3, "operation": 1, "permission_type": 1}
    ask("DeleteAcls", filters=[wanted])
    ask("DeleteAcls", filters=[])


@scenario("AlterClientQuotas")
def test_alter_quotas(ask: Ask) -> None:
    def altered(entity: list[Any], *ops: dict[str, Any], **fields: Any) -> None:
        ask("AlterClientQuotas", entries=[{"entity": entity, "ops": list(ops)}], **fields)

    user = [{"entity_type": "user", "entity_name": "u"}]
    altered(user, {"key": "no.such.quota", "value": 1.0})
    altered(user, {"key": "producer_byte_rate", "value": 1000.0}, validate_only=True)
    altered([{"entity_type": "nonsense", "entity_name": "u"}], {"key": "producer_byte_rate", "value": 1000.0})
    altered([], {"key": "producer_byte_rate", "value": 1000.0})
    ask("AlterClientQuotas", entries=[])


@scenario("SaslHandshake")
def test_sasl_handshake_on_a_plain_port(ask: Ask) -> None:
    for mechanism in ("PLAIN", "", "NONSENSE"):
        ask("SaslHandshake", mechanism=mechanism)


@scenario("SaslAuthenticate")
def test_sasl_authentication_on_a_plain_port(ask: Ask) -> None:
    for auth_bytes in (b"\0u\0p", b""):
        ask("SaslAuthenticate", auth_bytes=auth_bytes)
