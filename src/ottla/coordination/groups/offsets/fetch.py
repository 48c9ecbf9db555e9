"""OffsetFetch."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from ottla.coordination.groups.offsets.store import NO_TOPIC_ID, StoredOffset, TopicPartition
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import Response
from ottla.metadata.model import Topic
from ottla.protocol.errors import ErrorCode, KafkaError

FETCH_GROUPS_SINCE: Final = 8
FETCH_TOPIC_IDS_SINCE: Final = 10
_TOP_LEVEL_ERROR_SINCE: Final = 2
_NO_OFFSET: Final = -1


def fetch_offsets(state: ShardState, group: Any, *, require_stable: bool, api_version: int) -> Response:
    """One group's offsets, shaped as an entry of `groups`; null topics mean all of the group's.

    `group` has group_id, member_id, member_epoch and topics, as in the request since version 8 (KIP-709).
    """
    known = state.groups.get(group.group_id)
    try:
        if known is not None:
            known.validate_offset_fetch(group.member_id, group.member_epoch)
    except KafkaError as error:
        if error.code is not ErrorCode.group_id_not_found:
            return fetch_error(group, error.code, api_version)
        known = None
    if group.topics is None:
        topics = _all(state, group.group_id, require_stable, api_version) if known is not None else []
    else:
        exists = known is not None
        topics = [
            _asked(state, group.group_id, t, (exists, require_stable), api_version) for t in group.topics
        ]
    return {"group_id": group.group_id, "error_code": ErrorCode.none, "topics": topics}


def fetch_error(group: Any, code: ErrorCode, api_version: int) -> Response:
    """Version 1 has only the partitions to carry an error."""
    if api_version >= _TOP_LEVEL_ERROR_SINCE:
        return {"group_id": group.group_id, "error_code": code, "topics": []}
    topics = [
        {
            "name": topic.name,
            "partitions": [_partition(index, None, code) for index in topic.partition_indexes],
        }
        for topic in group.topics or ()
    ]
    return {"group_id": group.group_id, "error_code": code, "topics": topics}


def as_single_group_response(response: Response) -> Response:
    """Up to version 7 one group's topics and error stand at the top."""
    topics = [{"name": topic["name"], "partitions": topic["partitions"]} for topic in response["topics"]]
    return {"error_code": response["error_code"], "topics": topics}


def _asked(
    state: ShardState, group_id: str, asked: Any, flags: tuple[bool, bool], api_version: int
) -> Response:
    exists, require_stable = flags
    by_id = api_version >= FETCH_TOPIC_IDS_SINCE
    name: str = asked.name
    if by_id:
        topic: Topic | None = state.image.topics_by_id.get(asked.topic_id or NO_TOPIC_ID)
        if topic is None:
            unknown = ErrorCode.unknown_topic_id
            partitions = [_partition(index, None, unknown) for index in asked.partition_indexes]
            return {"name": name, "topic_id": asked.topic_id, "partitions": partitions}
        name = topic.name
    partitions = []
    for index in asked.partition_indexes:
        stored = state.offsets.get(group_id, name, index) if exists else None
        if stored is not None and by_id and stored.topic_id not in (NO_TOPIC_ID, asked.topic_id):
            # Committed for a topic of the same name that has been deleted since.
            stored = None
        unstable = require_stable and state.offsets.has_open_transaction(group_id, name, index)
        code = ErrorCode.unstable_offset_commit if unstable else ErrorCode.none
        partitions.append(_partition(index, None if unstable else stored, code))
    return {"name": name, "topic_id": asked.topic_id, "partitions": partitions}


def _all(state: ShardState, group_id: str, require_stable: bool, api_version: int) -> list[Response]:
    by_topic: dict[str, list[tuple[TopicPartition, StoredOffset]]] = defaultdict(list)
    for partition, stored in state.offsets.of_group(group_id).items():
        by_topic[partition[0]].append((partition, stored))
    topics: list[Response] = []
    for name, offsets in by_topic.items():
        topic = state.image.topics.get(name)
        if topic is None and api_version >= FETCH_TOPIC_IDS_SINCE:
            continue  # without an id it can't be told
        partitions = []
        for (_, index), stored in offsets:
            unstable = require_stable and state.offsets.has_open_transaction(group_id, name, index)
            code = ErrorCode.unstable_offset_commit if unstable else ErrorCode.none
            partitions.append(_partition(index, None if unstable else stored, code))
        topic_id = NO_TOPIC_ID if topic is None else topic.topic_id
        topics.append({"name": name, "topic_id": topic_id, "partitions": partitions})
    return topics


def _partition(index: int, stored: StoredOffset | None, code: ErrorCode) -> Response:
    return {
        "partition_index": index,
        "committed_offset": _NO_OFFSET if stored is None else stored.offset,
        "committed_leader_epoch": -1 if stored is None else stored.leader_epoch,
        "metadata": "" if stored is None else stored.metadata,
        "error_code": code,
    }
