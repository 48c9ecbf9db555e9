"""What an entry of the audit says, as a JSON object. No secret is in one: what may be one is left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from functools import cache
from math import isfinite
from typing import Any, Final, TypeAlias
from uuid import UUID

from ottla.broker.request import RequestContext
from ottla.config.broker import broker_definition
from ottla.config.topic import TOPIC_CONFIGS
from ottla.metadata.config_changes import OperationKind
from ottla.metadata.features import UpgradeType
from ottla.protocol import messages
from ottla.protocol.codes import Operation, PatternType, Permission, ResourceType, ScramMechanism
from ottla.protocol.errors import ErrorCode
from ottla.protocol.structs import Struct
from ottla.security.access import Denial, rule_text

Event: TypeAlias = dict[str, Any]

_ITEMS_MAX: Final = 1000
"""Of a list; how many there are beyond them is said"""
_TEXT_MAX: Final = 2000
"""Characters of a string"""
LINE_MAX: Final = 256 * 1024
"""Bytes of an entry; of a larger one the request and its results are left out"""

_ACLS: Final[Mapping[str, type[IntEnum]]] = {
    "resource_type": ResourceType,
    "resource_type_filter": ResourceType,
    "resource_pattern_type": PatternType,
    "pattern_type": PatternType,
    "pattern_type_filter": PatternType,
    "operation": Operation,
    "permission_type": Permission,
}
_CODES: Final[Mapping[str, Mapping[str, type[IntEnum]]]] = {
    "CreateAcls": _ACLS,
    "DeleteAcls": _ACLS,
    "IncrementalAlterConfigs": {"config_operation": OperationKind},
    "UpdateFeatures": {"upgrade_type": UpgradeType},
    "AlterUserScramCredentials": {"mechanism": ScramMechanism},
}
"""Numbers of the protocol that are told by their names"""
_ONLY_THE_PROTOCOLS: Final = frozenset({"timeout_ms", "throttle_time_ms", "error_message"})


def denial(denied: Denial, times: int) -> Event:
    """What somebody was not allowed, so many times."""
    return {
        "event": "denial",
        "principal": denied.principal,
        "host": denied.host,
        "client_id": _cut(denied.client_id or ""),
        "api": messages.APIS[denied.api_key].name,
        "operation": denied.operation.name,
        "resource_type": denied.resource_type.name,
        "resource": _cut(denied.name),
        "rule": rule_text(denied.rule),
        "times": times,
    }


def failed_authentication(host: str, listener: str, reason: str, times: int) -> Event:
    return {
        "event": "authentication",
        "host": host,
        "listener": listener,
        "reason": _cut(reason),
        "times": times,
    }


def change(context: RequestContext, message: Struct, outcome: Struct | ErrorCode) -> Event:
    """What somebody asked to be changed, and what came of it: `outcome` is the answer, or why all was
    refused.
    """
    session, api = context.session, messages.APIS[context.api_key].name
    codes = _CODES.get(api, {})
    event: Event = {
        "event": "change",
        "principal": str(session.principal),
        "host": session.peer_host,
        "listener": session.listener,
        "client_id": _cut(context.client_id or ""),
        "api": api,
    }
    if isinstance(outcome, ErrorCode):
        event["error"] = outcome.name
    event["request"] = _object(message, codes, lambda _: True)
    if isinstance(outcome, Struct):
        event["results"] = _object(outcome, codes, _says_what_became)
    return event


def _says_what_became(items: Iterable[Any]) -> bool:
    """Whether structs in a list of an answer are results, not mere descriptions."""
    first = next(iter(items), None)
    return isinstance(first, Struct) and (
        "error_code" in first.__fields__ or any(spec.array for spec in first.__fields__.values())
    )


def _object(struct: Struct, codes: Mapping[str, type[IntEnum]], is_told: Callable[[Any], bool]) -> Event:
    told: Event = {}
    for name, spec in struct.__fields__.items():
        value = getattr(struct, name)
        if name in _ONLY_THE_PROTOCOLS or isinstance(value, bytes | memoryview):
            continue
        if spec.array:
            if value is not None and (not value or is_told(value)):
                told[name] = _list(value, codes, is_told)
        elif isinstance(value, Struct):
            told[name] = _object(value, codes, is_told)
        else:
            told[name] = _scalar(name, value, codes)
    if {"name", "value"} <= told.keys() and not _may_be_shown(told["name"]):
        told["value"] = None if told["value"] is None else "[hidden]"
    return told


def _list(values: Any, codes: Mapping[str, type[IntEnum]], is_told: Callable[[Any], bool]) -> list[Any]:
    told = [
        _object(each, codes, is_told) if isinstance(each, Struct) else _scalar("", each, codes)
        for each in values[:_ITEMS_MAX]
        if not isinstance(each, bytes)
    ]
    if len(values) > _ITEMS_MAX:
        told.append(f"and {len(values) - _ITEMS_MAX} more")
    return told


def _scalar(name: str, value: Any, codes: Mapping[str, type[IntEnum]]) -> Any:
    kind = ErrorCode if name == "error_code" else codes.get(name)
    if kind is not None:
        return _names(kind).get(value, value)
    if isinstance(value, UUID) or (isinstance(value, float) and not isfinite(value)):
        return str(value)  # of numbers those that JSON has not
    return _cut(value) if isinstance(value, str) else value


@cache
def _names(kind: type[IntEnum]) -> Mapping[int, str]:
    return {each.value: each.name for each in kind}


def _may_be_shown(setting: str) -> bool:
    """Whether a setting is known, and its values are no secrets."""
    definition = TOPIC_CONFIGS.get(setting) or broker_definition(setting)
    return definition is not None and not definition.is_sensitive


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}..."


def encode(event: Event, node_id: int, now_ms: int) -> bytes:
    """As a line, with who says it and when."""
    when = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    head: Event = {"time": when, "broker": node_id}
    line = json.dumps(head | event).encode()
    if len(line) >= LINE_MAX:
        left = {name: value for name, value in event.items() if name not in ("request", "results")}
        line = json.dumps(head | left | {"too_large": len(line)}).encode()
    return line + b"\n"
