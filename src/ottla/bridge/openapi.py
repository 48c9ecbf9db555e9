"""The bridge's OpenAPI document, made of what it takes and gives. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ottla import __version__
from ottla.bridge.bodies import TOPIC, CreatedTopic, NewConsumer, Offsets, Partitions, Subscription
from ottla.bridge.media import JSON, V2, Format
from ottla.bridge.records import MAX_RECORDS

_EMBEDDED: Final = tuple(each.media_type for each in Format)
_REF: Final = "#/components/schemas/{name}"
_BODIES: Final = (NewConsumer, Subscription, Partitions, Offsets, CreatedTopic)
_INTEGER: Final = {"type": "integer"}
_SIZE: Final[dict[str, object]] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_NAME: Final[dict[str, object]] = {"type": "string", "minLength": 1}
_PARAMETERS: Final[dict[str, dict[str, object]]] = {
    "{topicname}": {"type": "string", "pattern": f"^{TOPIC}$"},
    "{partitionid}": {"type": "integer", "minimum": 0, "maximum": 2147483647},
}
_TEXT: Final = {"type": "string"}


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties}


def _ref(name: str) -> dict[str, object]:
    return {"$ref": _REF.format(name=name)}


def _array(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


_ANY: Final[dict[str, object]] = {"description": "JSON, text or Base64, by the media type; null for none"}
_HEADERS: Final = _array({**_object(key=_TEXT, value={"type": ["string", "null"]}), "required": ["key"]})
_SCHEMAS: Final[dict[str, dict[str, object]]] = {
    "Error": {
        **_object(error_code=_INTEGER, message={"type": ["string", "null"]}),
        "required": ["error_code", "message"],
    },
    "SentOffset": {**_object(partition=_INTEGER, offset=_INTEGER), "required": ["partition", "offset"]},
    "Sent": {
        **_object(
            key=_ANY,
            value=_ANY,
            partition={"type": ["integer", "null"], "minimum": 0, "maximum": 2147483647},
            timestamp={"type": ["integer", "null"], "minimum": 0},
            headers=_HEADERS,
        ),
        "required": ["value"],
        "additionalProperties": False,
    },
    "SentList": {
        **_object(records={**_array(_ref("Sent")), "maxItems": MAX_RECORDS}),
        "required": ["records"],
        "additionalProperties": False,
    },
    "SentOffsets": _object(offsets=_array({"oneOf": [_ref("SentOffset"), _ref("Error")]})),
    "Received": _object(
        topic=_TEXT,
        key=_ANY,
        value=_ANY,
        partition=_INTEGER,
        offset=_INTEGER,
        timestamp=_INTEGER,
        headers=_HEADERS,
    ),
    "ReceivedList": _array(_ref("Received")),
    "CreatedConsumer": _object(instance_id=_TEXT, base_uri=_TEXT),
    "Assigned": _object(
        topics=_array(_TEXT),
        partitions=_array({"type": "object", "additionalProperties": _array(_INTEGER)}),
    ),
    "Names": _array(_TEXT),
    "Partition": _object(
        partition=_INTEGER,
        leader=_INTEGER,
        replicas=_array(_object(broker=_INTEGER, leader={"type": "boolean"}, in_sync={"type": "boolean"})),
    ),
    "PartitionList": _array(_ref("Partition")),
    "Topic": _object(
        name=_TEXT,
        configs={"type": "object", "additionalProperties": _TEXT},
        partitions=_array(_ref("Partition")),
    ),
    "OffsetRange": _object(beginning_offset=_INTEGER, end_offset=_INTEGER),
    "Info": _object(bridge_version=_TEXT),
}


class _Operation(NamedTuple):
    method: str
    path: str
    id: str
    summary: str
    answers: Mapping[int, str | None]
    """By status the schema of the body"""
    body: str | None = None
    taken: tuple[str, ...] = (V2,)
    given: tuple[str, ...] = (V2,)
    query: tuple[tuple[str, Mapping[str, object]], ...] = ()
    needs_body: bool = True


_INSTANCE: Final = "/consumers/{groupid}/instances/{name}"
_MISSING: Final = {404: "Error"}
_WRONG: Final = {400: "Error", 422: "Error"}
_SEND: Final[dict[str, Any]] = {
    "answers": {200: "SentOffsets", 204: None, 415: "Error", 503: "Error", **_WRONG},
    "body": "SentList",
    "taken": _EMBEDDED,
    "query": (("async", {"type": "boolean"}),),
}
_OPERATIONS: Final = (
    _Operation("get", "/topics", "listTopics", "Names of topics", {200: "Names"}),
    _Operation("get", "/topics/{topicname}", "getTopic", "A topic", {200: "Topic", 422: "Error", **_MISSING}),
    _Operation("post", "/topics/{topicname}", "send", "Send records", **_SEND),
    _Operation(
        "post",
        "/admin/topics",
        "createTopic",
        "Create a topic",
        {201: None, 409: "Error", **_WRONG},
        "CreatedTopic",
    ),
    _Operation(
        "get",
        "/topics/{topicname}/partitions",
        "listPartitions",
        "Partitions of a topic",
        {200: "PartitionList", 422: "Error", **_MISSING},
    ),
    _Operation(
        "get",
        "/topics/{topicname}/partitions/{partitionid}",
        "getPartition",
        "A partition",
        {200: "Partition", 422: "Error", **_MISSING},
    ),
    _Operation(
        "post",
        "/topics/{topicname}/partitions/{partitionid}",
        "sendToPartition",
        "Send records to a partition",
        **_SEND,
    ),
    _Operation(
        "get",
        "/topics/{topicname}/partitions/{partitionid}/offsets",
        "getOffsets",
        "The first and the next offset of a partition",
        {200: "OffsetRange", 422: "Error", **_MISSING},
    ),
    _Operation(
        "post",
        "/consumers/{groupid}",
        "createConsumer",
        "Make a consumer in a group",
        {200: "CreatedConsumer", 409: "Error", 503: "Error", **_WRONG},
        "NewConsumer",
        needs_body=False,
    ),
    _Operation("delete", _INSTANCE, "deleteConsumer", "Close a consumer", {204: None, **_MISSING}),
    _Operation(
        "post",
        f"{_INSTANCE}/subscription",
        "subscribe",
        "Subscribe to topics",
        {204: None, 409: "Error", **_MISSING, **_WRONG},
        "Subscription",
    ),
    _Operation(
        "get",
        f"{_INSTANCE}/subscription",
        "listSubscriptions",
        "What a consumer reads",
        {200: "Assigned", **_MISSING},
    ),
    _Operation("delete", f"{_INSTANCE}/subscription", "unsubscribe", "Read nothing", {204: None, **_MISSING}),
    _Operation(
        "post",
        f"{_INSTANCE}/assignments",
        "assign",
        "Read these partitions",
        {204: None, 409: "Error", **_MISSING, **_WRONG},
        "Partitions",
    ),
    _Operation(
        "get",
        f"{_INSTANCE}/records",
        "poll",
        "The next records",
        {200: "ReceivedList", 400: "Error", 406: "Error", 422: "Error", 500: "Error", **_MISSING},
        given=_EMBEDDED,
        query=(("timeout", _SIZE), ("max_bytes", _SIZE)),
    ),
    _Operation(
        "post",
        f"{_INSTANCE}/offsets",
        "commit",
        "Commit offsets, or what was read",
        {204: None, **_MISSING, **_WRONG},
        "Offsets",
        needs_body=False,
    ),
    _Operation(
        "post",
        f"{_INSTANCE}/positions",
        "seek",
        "Go on from offsets",
        {204: None, **_MISSING, **_WRONG},
        "Offsets",
    ),
    _Operation(
        "post",
        f"{_INSTANCE}/positions/beginning",
        "seekToBeginning",
        "Go on from the beginning",
        {204: None, **_MISSING, **_WRONG},
        "Partitions",
    ),
    _Operation(
        "post",
        f"{_INSTANCE}/positions/end",
        "seekToEnd",
        "Go on from the end",
        {204: None, **_MISSING, **_WRONG},
        "Partitions",
    ),
    _Operation("get", "/healthy", "healthy", "Whether it lives", {200: None}),
    _Operation("get", "/ready", "ready", "Whether it serves", {200: None}),
    _Operation("get", "/openapi", "openapi", "This document", {200: None}),
    _Operation("get", "/openapi/v3", "openapiv3", "This document", {200: None}),
    _Operation("get", "/metrics", "metrics", "For Prometheus", {200: None}),
    _Operation("get", "/", "info", "What it is", {200: "Info"}, given=(JSON,)),
)


def document(prefix: str | None = None) -> dict[str, object]:
    """OpenAPI 3.1; `prefix` is the path in front of the bridge."""
    _, described = msgspec.json.schema_components(_BODIES, ref_template=_REF)
    paths: dict[str, dict[str, object]] = {}
    for each in _OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ottla's HTTP bridge", "version": __version__},
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {"schemas": {**described, **_SCHEMAS}},
    }


def _operation(asked: _Operation) -> dict[str, object]:
    parameters: list[dict[str, object]] = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": _PARAMETERS.get(part, _NAME)}
        for part in asked.path.split("/")
        if part.startswith("{")
    ] + [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in asked.query]
    made: dict[str, object] = {
        "operationId": asked.id,
        "summary": asked.summary,
        "parameters": parameters,
        "responses": {
            str(status): {
                "description": asked.summary if status < 400 else "Why not",
                **({} if name is None else {"content": _content(_types(asked, status), name)}),
            }
            for status, name in asked.answers.items()
        },
    }
    if asked.body is not None:
        made["requestBody"] = {"required": asked.needs_body, "content": _content(asked.taken, asked.body)}
    return made


def _types(asked: _Operation, status: int) -> tuple[str, ...]:
    return asked.given if status < 400 else (V2, *asked.given)


def _content(types: tuple[str, ...], name: str) -> dict[str, object]:
    return {each: {"schema": _ref(name)} for each in types}
