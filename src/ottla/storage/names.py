"""Names of a partition's files, as Kafka spells them: `<base offset, 20 digits><suffix>`."""

from __future__ import annotations

__all__ = [
    "CLEANED",
    "DELETED",
    "INDEX",
    "LOG",
    "SEGMENT_SUFFIXES",
    "SNAPSHOT",
    "SWAP",
    "TIMEINDEX",
    "TXNINDEX",
    "offset_of",
    "segment_path",
]

LOG = ".log"
INDEX = ".index"
TIMEINDEX = ".timeindex"
TXNINDEX = ".txnindex"
SNAPSHOT = ".snapshot"

# Put behind the others while compaction prepares a segment, while it replaces old ones, and before removal.
CLEANED = ".cleaned"
SWAP = ".swap"
DELETED = ".deleted"

SEGMENT_SUFFIXES = (LOG, INDEX, TIMEINDEX, TXNINDEX)

_DIGITS = 20


def segment_path(directory: str, base_offset: int, suffix: str) -> str:
    """The path of one of a segment's files, or of a producer snapshot."""
    return f"{directory}/{base_offset:020d}{suffix}"


def offset_of(name: str) -> int | None:
    """The offset at the start of a file's name; None without 20 digits and a dot there."""
    digits = name[:_DIGITS]
    if len(name) > _DIGITS and name[_DIGITS] == "." and digits.isascii() and digits.isdigit():
        return int(digits)
    return None
