"""Classic groups: members join, sync, beat and leave."""

from __future__ import annotations

from typing import Any

from .scenario import Ask, scenario

PROTOCOLS = [{"name": "range", "metadata": b"r"}, {"name": "roundrobin", "metadata": b"o"}]


def join(
    ask: Ask, group: str, member_id: str = "", version: int | None = None, **fields: Any
) -> dict[str, Any]:
    return ask("JoinGroup", version, **{
        "group_id": group, "member_id": member_id, "session_timeout_ms": 30_000,
        "rebalance_timeout_ms": 30_000,
        "protocol_type": "consumer", "protocols": PROTOCOLS, **fields,
    })  # fmt: skip


def member(ask: Ask, group: str, version: int | None = None, **fields: Any) -> dict[str, Any]:
    """A member that is alone in its group."""
    first = join(ask, group, version=version, **fields)
    return join(ask, group, first["member_id"], version, **fields) if first["error_code"] == 79 else first


def sync(ask: Ask, group: str, joined: dict[str, Any], **fields: Any) -> None:
    ask("SyncGroup", **{
        "group_id": group, "generation_id": joined["generation_id"], "member_id": joined["member_id"],
        "protocol_type": "consumer", "protocol_name": "range",
        "assignments": [{"member_id": joined["member_id"], "assignment": b"all"}], **fields,
    })  # fmt: skip


@scenario("JoinGroup")
def test_join(ask: Ask) -> None:
    group = ask.name("group")
    joined = member(ask, group)
    sync(ask, group, joined)
    join(ask, group, joined["member_id"])
    ask("DescribeGroups", groups=[group], include_authorized_operations=True)


@scenario("JoinGroup")
def test_join_wrongly(ask: Ask) -> None:
    join(ask, "")
    for number, wrong in enumerate((
        {"member_id": "nobody"}, {"session_timeout_ms": 0}, {"session_timeout_ms": -1},
        {"session_timeout_ms": 5_999},
        {"session_timeout_ms": 1_800_001}, {"rebalance_timeout_ms": -1}, {"protocols": []},
        {"protocol_type": ""},
        {"protocol_type": "", "protocols": []}, {"group_instance_id": ""},
    )):  # fmt: skip
        join(ask, ask.name(str(number)), **wrong)
    commit(ask, ask.name("later"), ask.topic())  # what was written before is committed, too
    ask("DescribeGroups", groups=[ask.name(str(number)) for number in range(10)])


@scenario("JoinGroup")
def test_join_with_other_protocols(ask: Ask) -> None:
    group = ask.name("group")
    joined = member(ask, group)
    sync(ask, group, joined)
    join(ask, group, protocol_type="connect")
    join(ask, group, protocols=[{"name": "sticky", "metadata": b""}])
    join(ask, group, joined["member_id"], protocol_type="connect")


@scenario("JoinGroup", versions=(5, 7, 9))
def test_join_statically(ask: Ask) -> None:
    group = ask.name("group")
    joined = join(ask, group, group_instance_id="i")
    sync(ask, group, joined, group_instance_id="i")
    again = join(ask, group, group_instance_id="i")
    sync(ask, group, again, group_instance_id="i")
    for instance, member_id in (
        ("i", joined["member_id"]),
        ("i", again["member_id"]),
        ("j", again["member_id"]),
        ("i", "x"),
    ):
        identity = {"group_id": group, "generation_id": again["generation_id"]}
        ask("Heartbeat", **identity, member_id=member_id, group_instance_id=instance)
    join(ask, group, joined["member_id"], group_instance_id="i")
    join(ask, group, "unknown", group_instance_id="j")
    ask("DescribeGroups", groups=[group])
    for member_id, instance in (("", "k"), ("x", "i"), ("", "i")):
        left = [{"member_id": member_id, "group_instance_id": instance}]
        ask("LeaveGroup", group_id=group, members=left)


@scenario("SyncGroup", versions=(0, 2, 4))
def test_sync_wrongly(ask: Ask) -> None:
    group = ask.name("group")
    joined = member(ask, group)
    sync(ask, "", joined)
    sync(ask, ask.name("nowhere"), joined)
    sync(ask, group, joined, member_id="nobody")
    sync(ask, group, joined, member_id="")
    for generation in (0, 2, -1):
        sync(ask, group, joined, generation_id=generation)
    sync(ask, group, joined, assignments=[{"member_id": "nobody", "assignment": b"x"}])
    sync(ask, group, joined)


@scenario("SyncGroup", versions=(5,))
def test_sync_with_other_protocols(ask: Ask) -> None:
    group = ask.name("group")
    joined = member(ask, group)
    sync(ask, group, joined, protocol_type="connect")
    sync(ask, group, joined, protocol_name="sticky")
    sync(ask, group, joined, protocol_type=None, protocol_name=None)
    sync(ask, group, joined)


@scenario("SyncGroup")
def test_sync(ask: Ask) -> None:
    group = ask.name("group")
    joined = member(ask, group)
    sync(ask, group, joined)
    sync(ask, group, joined, assignments=[])
    ask("DescribeGroups", groups=[group])


@scenario("Heartbeat")
def test_heartbeat(ask: Ask) -> None:
    group = ask.name("group")
    joined = member(ask, group)

    def beat(**fields: Any) -> None:
        identity = {
            "group_id": group,
            "generation_id": joined["generation_id"],
            "member_id": joined["member_id"],
        }
        ask("Heartbeat", **{**identity, **fields})

    beat()
    sync(ask, group, joined)
    beat()
    for generation in (0, 2, -1):
        beat(generation_id=generation)
    for member_id in ("", "nobody"):
        beat(member_id=member_id)
    for other in ("", ask.name("nowhere")):
        beat(group_id=other)


@scenario("LeaveGroup")
def test_leave(ask: Ask) -> None:
    group = ask.name("group")
    joined = member(ask, group)
    sync(ask, group, joined)

    def leave(member_id: str, name: str = group) -> None:
        ask("LeaveGroup", group_id=name, member_id=member_id, members=[{"member_id": member_id}])

    leave(joined["member_id"], "")
    leave(joined["member_id"], ask.name("nowhere"))
    leave("nobody")
    leave(joined["member_id"])
    leave(joined["member_id"])
    ask("DescribeGroups", groups=[group])
    if ask.version >= 3:
        ask("LeaveGroup", group_id=group, members=[])


@scenario("LeaveGroup", versions=(0, 2))
def test_leave_as_nobody(ask: Ask) -> None:
    group = ask.name("group")
    sync(ask, group, member(ask, group))
    for name in (group, ask.name("nowhere")):
        ask("LeaveGroup", group_id=name, member_id="", members=[{"member_id": ""}])


@scenario("DescribeGroups")
def test_describe_groups(ask: Ask) -> None:
    group = ask.name("group")
    ask("DescribeGroups", groups=[group, "", ask.name("nowhere")], include_authorized_operations=True)
    joined = member(ask, group, 5)
    for _ in range(2):
        ask("DescribeGroups", groups=[group], include_authorized_operations=True)
        sync(ask, group, joined)
    ask("DescribeGroups", groups=[])


@scenario("DescribeGroups")
def test_describe_groups_twice(ask: Ask) -> None:
    ask("DescribeGroups", groups=[ask.name("group")] * 2)


@scenario("ListGroups")
def test_list_groups(ask: Ask) -> None:
    group = ask.name("group")
    joined = member(ask, group, 5)

    def listed(**filters: Any) -> None:
        answer = ask.quietly("ListGroups", **filters)
        answer["groups"] = [each for each in answer["groups"] if each["group_id"] == group]
        ask.note("ListGroups", None, answer)

    listed()
    sync(ask, group, joined)
    listed()
    if ask.version >= 4:
        for states in (
            ["Stable"],
            ["stable"],
            ["Empty"],
            ["CompletingRebalance", "Stable"],
            ["Nonsense"],
            [""],
        ):
            listed(states_filter=states)
    if ask.version >= 5:
        for types in (["classic"], ["Classic"], ["consumer"], ["nonsense"], [""]):
            listed(types_filter=types)


@scenario("DeleteGroups")
def test_delete_groups(ask: Ask) -> None:
    group, empty = ask.name("group"), ask.name("empty")
    topic = ask.topic()
    joined = member(ask, group)
    commit(ask, empty, topic)
    ask("DeleteGroups", groups_names=[group, ask.name("nowhere"), "", empty])
    ask("DeleteGroups", groups_names=[empty])
    ask("LeaveGroup", group_id=group, members=[{"member_id": joined["member_id"]}])
    ask("DeleteGroups", groups_names=[group, group])
    ask("DeleteGroups", groups_names=[])


def commit(ask: Ask, group: str, topic: dict[str, Any]) -> None:
    partition = {"partition_index": 0, "committed_offset": 1, "committed_metadata": "m"}
    topics = [{"name": topic["name"], "partitions": [partition]}]
    ask.quietly(
        "OffsetCommit", 8, group_id=group, generation_id_or_member_epoch=-1, member_id="", topics=topics
    )


@scenario("FindCoordinator")
def test_find_coordinator(ask: Ask) -> None:
    for key_type in (0, 2, 3, -1):
        for key in ("group", ""):
            ask("FindCoordinator", key=key, key_type=key_type, coordinator_keys=[key, "b"])
    ask("FindCoordinator", key="a", key_type=0, coordinator_keys=[])
