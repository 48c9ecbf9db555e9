"""Where our events differ from Debezium's, and why; all else is equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.platform.cdc.running import Shown

_IN_SNAPSHOTS: Final = {
    "d": "JDBC's dates before 1582 are of the Julian calendar, and infinite ones overflow",
    "ts": "the same",
    "ts3": "the same",
    "tstz": "the same",
    "m": "money loses zeros at its end",
    "vb1": "varbit(1) is lost",
}
"""Debezium's snapshots and streams differ; ours are both like its streams."""

_IN_STREAMS: Final = {"n": "values of the type name are lost"}
"""Ours are like its snapshots."""

_OWN: Final[Mapping[str, Mapping[str, object]]] = {
    "ti": {
        "types": [49890123456],
        "types-doubles": [49890123456],
        "types-iso": ["13:51:30.123456Z"],
        "types-nanos": [49890123456000],
    },
    "titz": {
        name: ["11:51:30.123456Z"]
        for name in ("types", "types-strings", "types-doubles", "types-iso", "types-nanos")
    },
}
"""In arrays times lose digits."""

_GEOMETRY: Final = ("ln", "ls", "bx", "pa", "pg", "ci")
"""As unknown types these are the bytes of JDBC's text; ours are of PostgreSQL's."""

_BEYOND: Final = {"types-strings": ("d", "t", "t0", "ts", "ts0"), "types-nanos": ("ts", "ts0", "ts3")}
"""A value that its type cannot say is null: a date of the year 20000 as Connect's Date, a time of 1500 in
nanoseconds (which Debezium lets overflow)."""


def expected(scenario: str, golden: list[Shown]) -> list[Shown]:
    """What ours has to be."""
    rows: dict[tuple[bool, str], list[dict[str, Any]]] = {}
    for record in golden:
        payload = _payload(record)
        if payload.get("after") is not None and "source" in payload:
            rows.setdefault((_is_snapshot(payload), payload["source"]["table"]), []).append(payload["after"])
    seen: dict[tuple[bool, str], int] = {}
    for record in golden:
        payload = _payload(record)
        _fix_names(record)
        _fix_headers(scenario, record)
        after = payload.get("after")
        if not scenario.startswith("types") or after is None:
            continue
        snapshot, table = _is_snapshot(payload), payload["source"]["table"]
        number = seen[snapshot, table] = seen.get((snapshot, table), -1) + 1
        other = rows[not snapshot, table][number]
        for name in _IN_SNAPSHOTS if snapshot else _IN_STREAMS:
            if name in after and (name != "n" or table == "texts"):
                after[name] = other[name]
        if table == "lists" and after["ti"]:
            after |= {name: own[scenario] for name, own in _OWN.items() if scenario in own}
        _fix_default(record)
    return golden


def _payload(record: Shown) -> dict[str, Any]:
    value = record["value"]
    payload = None if value is None else value["payload"]
    return dict(payload) if isinstance(payload, dict) else {}


def _is_snapshot(payload: dict[str, Any]) -> bool:
    return bool(payload["source"]["snapshot"] != "false")


def _fix_default(record: Shown) -> None:
    """Debezium cuts a default off at its first quote."""
    for field in record["value"]["schema"]["fields"][:2]:
        for column in field["fields"]:
            if column.get("default") == "it":
                column["default"] = "it's"


def _fix_headers(scenario: str, record: Shown) -> None:
    """A tombstone shares its headers with the delete before it, so that they are added twice."""
    if scenario == "unwrap-rewrite-tombstone" and record["value"] is None:
        record["headers"] = [each for each in record["headers"] if not each[0].startswith("h.")]
        record["headers"].append(["h.op", "d"])


def _fix_names(record: Shown) -> None:
    """A logical message's transaction counts it by an object's place in Java's memory."""
    offset = record["offset"]
    for name in [each for each in offset if "LogicalDecodingMessage" in each]:
        offset[name.partition("io.debezium")[0] + "message"] = offset.pop(name)
    value = record["value"]
    collections = _payload(record).get("data_collections") if value is not None else None
    for each in collections or ():
        if "LogicalDecodingMessage" in each["data_collection"]:
            each["data_collection"] = "message"
    if collections:
        collections.sort(key=lambda one: str(one["data_collection"]))


def compared(scenario: str, own: Shown, theirs: Shown) -> tuple[Shown, Shown]:
    """Without what is named above as another's form."""
    ours, golden = _payload(own).get("after"), _payload(theirs).get("after")
    if ours is None or golden is None or not scenario.startswith("types"):
        return own, theirs
    for name in _BEYOND.get(scenario, ()):
        if name in ours and ours[name] is None and ours["pk"] % 7 > 2:  # the rows with such values
            golden[name] = None
    if isinstance(ours.get("hs"), str):  # the order of an object's fields
        ours["hs"], golden["hs"] = json.loads(ours["hs"]), json.loads(golden["hs"])
    for name in _GEOMETRY:
        ours.pop(name, None)
        golden.pop(name, None)
    return own, theirs
