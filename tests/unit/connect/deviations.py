"""Where ours is meant to answer otherwise than Kafka's Connect, and why."""

from __future__ import annotations

import base64
import re
import struct

_HASH = re.compile(r"bytes@0")


def deviation(ask: dict, answer: dict, ours: dict) -> str | None:
    """Why these two answers may differ; None where they may not."""
    for why, holds in DEVIATIONS.items():
        if holds(ask, answer, ours):
            return why
    return None


def _errors(answer: dict, ours: dict) -> bool:
    return "error" in answer and "error" in ours


def _java_date(text: object) -> bool:
    return re.search(r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC \d{4}", str(text)) is not None


def _bytes(said: dict) -> str:
    return base64.b64decode(said.get("data") or "").decode(errors="replace")


def _same_float(ask: dict, answer: dict, ours: dict) -> bool:
    try:
        one, other = float(answer["value"]["float"]), float(ours["value"]["float"])
    except (KeyError, TypeError):
        return False
    return struct.pack("f", one) == struct.pack("f", other)


def _out_of_years(ask: dict, answer: dict, ours: dict) -> bool:
    return "of the years 1 to 9999" in ours.get("error", "") and "millis" in str(answer)


def _wrong_json(ask: dict, answer: dict, ours: dict) -> bool:
    said = ours.get("error", "")
    return ask["do"] == "read" and said.startswith(("Invalid value for ", "Invalid type for "))


def _definitions_without_errors(infos: dict) -> list[object]:
    return [
        (one["definition"], {**one["value"], "errors": len(one["value"]["errors"])})
        for one in infos["configs"]
    ]


def _worded_otherwise(ask: dict, answer: dict, ours: dict) -> bool:
    """Errors that name Java's classes or Java's words for what is wrong with a pattern."""
    words = (
        "java.lang.", "Invalid regex", "Illegal group reference", "InsertionSpec@", "Character ",
        "Illegal pattern character", "(case insensitive)",
        "Timestamp missing on record", "Cannot invoke", "No group ",
    )  # fmt: skip
    if ask["do"] == "validate":
        errors = [error for one in answer["configs"] for error in one["value"]["errors"]]
        same = _definitions_without_errors(answer) == _definitions_without_errors(ours)
        return same and any(word in error for error in errors for word in words)
    return _errors(answer, ours) and (
        answer["error"] == "null" or any(word in answer["error"] for word in words)
    )


DEVIATIONS = {
    "our error goes on where Kafka's ends": lambda ask, answer, ours: (
        _errors(answer, ours)
        and answer["error"].endswith((": ", "schema.content"))
        and ours["error"].startswith(answer["error"])
    ),
    "our error says it in other words": _worded_otherwise,
    "bytes are shown, and not where they are in memory": lambda ask, answer, ours: (
        _errors(answer, ours) and _HASH.search(answer["error"]) is not None
    ),
    "dates are shown as ISO 8601 has them": lambda ask, answer, ours: (
        _java_date(answer.get("error")) or _java_date(_bytes(answer))
    ),
    "a date, a time and a timestamp are three classes": lambda ask, answer, ours: (
        _errors(answer, ours) and "java.util.Date" in answer["error"]
    ),
    "a date is no time": lambda ask, answer, ours: (
        ask["do"] == "convert" and (ask["to"], ask["value"]["payload"]) == ("Time", "2024-02-29")
    ),
    "a float has as many digits as it takes, as newer Javas print it": _same_float,
    "Python's times are of the years 1 to 9999": _out_of_years,
    "what is no value of its schema is refused, not taken for 0 or false": _wrong_json,
    "integers beyond 64 bits stay what they are": lambda ask, answer, ours: (
        ask["do"] == "read" and _bytes(ask) == "123456789012345678901234567890"
    ),
    "numbers beyond a double, zeros in front, and several values are no JSON": lambda ask, answer, ours: (
        ask["do"] == "read" and _bytes(ask) in ("1e400", "007", "1 2") and "error" in ours
    ),
    "a name may be given to any schema": lambda ask, answer, ours: (
        "SetSchemaMetadata" in ask.get("class", "")
        and answer.get("error") == "Cannot list fields on non-struct type"
    ),
    "which of two fields of one name stays is left open by Kafka": lambda ask, answer, ours: (
        ask.get("config") == {"renames": "id:name"}
    ),
    "Python has one class of integers": lambda ask, answer, ours: (
        ask["do"] == "write" and ask["value"]["schema"] is None and "data" in ours
    ),
}
