"""Which names a topic may have."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ottla.protocol.errors import ErrorCode, KafkaError

OFFSETS_TOPIC, TRANSACTIONS_TOPIC = "__consumer_offsets", "__transaction_state"
INTERNAL_TOPICS = frozenset({OFFSETS_TOPIC, TRANSACTIONS_TOPIC, "__share_group_state"})
METADATA_TOPIC = "__cluster_metadata"
"""The log of a KRaft quorum: no topic may be called so."""

_NAME_MAX_LENGTH = 249  # leaves room for "-<partition>" in a folder name of 255
_LEGAL = re.compile(r"[a-zA-Z0-9._-]+")


def check_topic_name(name: str) -> None:
    """Raises KafkaError(INVALID_TOPIC_EXCEPTION) saying what is wrong."""
    problem = _problem(name)
    if problem is not None:
        raise KafkaError(ErrorCode.invalid_topic_exception, f"Topic name is invalid: {problem}")


def is_valid_topic_name(name: str) -> bool:
    return _problem(name) is None


def unified_name(name: str) -> str:
    """The same for names that differ only in `.` and `_`: in metric names they could not be told apart."""
    return name.replace(".", "_")


def unified_names(names: Iterable[str]) -> dict[str, str]:
    """Names that could collide, by their unified form."""
    return {unified_name(name): name for name in names if "." in name or "_" in name}


def _problem(name: str) -> str | None:
    if not name:
        return "the empty string is not allowed"
    if name in (".", ".."):
        return f"'{name}' is not allowed"
    if len(name) > _NAME_MAX_LENGTH:
        return f"it has {len(name)} characters, more than the {_NAME_MAX_LENGTH} that are allowed"
    if not _LEGAL.fullmatch(name):
        return f"'{name}' contains characters other than ASCII letters and digits, '.', '_' and '-'"
    return None
