"""Names of partitions' folders and of the files in them, as Kafka spells them.

A folder is `<topic>-<partition>`. One that is not the partition's log, or not yet, has a unique id and a
suffix behind that. A file is `<base offset, 20 digits><suffix>`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = [
    "CLEANED",
    "DELETED",
    "FOLDER_DELETED",
    "FOLDER_FUTURE",
    "FOLDER_STRAY",
    "INDEX",
    "LOG",
    "LogFolder",
    "SEGMENT_SUFFIXES",
    "SNAPSHOT",
    "SWAP",
    "TIMEINDEX",
    "TXNINDEX",
    "folder_aside",
    "has_room_for_suffix",
    "log_folder",
    "offset_of",
    "parse_log_folder",
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


FOLDER_DELETED: Final = "-delete"
"""Of a log whose topic is gone; its files follow."""
FOLDER_FUTURE: Final = "-future"
"""Of a log that is being copied here from another data folder (KIP-113)."""
FOLDER_STRAY: Final = "-stray"
"""Of a log that nobody knows; it is for people to look at."""

_MAX_NAME: Final = 255  # bytes, of most file systems
_FOLDER: Final = re.compile(r"(.+)-(\d+)", re.ASCII)
_ASIDE: Final = re.compile(rf"(.+)-(\d+)\.\S+({FOLDER_DELETED}|{FOLDER_FUTURE}|{FOLDER_STRAY})", re.ASCII)


class LogFolder(NamedTuple):
    """What a folder's name says. `suffix` is empty for the log that is served; otherwise the topic's name may
    have been cut to make room.
    """

    topic: str
    partition: int
    suffix: str = ""


def log_folder(topic: str, partition: int) -> str:
    """The name of the folder of the log that is served."""
    return f"{topic}-{partition}"


def folder_aside(topic: str, partition: int, unique_id: str, suffix: str) -> str:
    """The name of another folder of that partition, cut to what file systems take."""
    ending = f"-{partition}.{unique_id}{suffix}"
    return topic[: _MAX_NAME - len(ending)] + ending


def has_room_for_suffix(topic: str, partition: int) -> bool:
    """Whether the name of another folder of the partition has the topic's whole name."""
    return len(f"{topic}-{partition}.{'0' * 32}{FOLDER_DELETED}") <= _MAX_NAME


def parse_log_folder(name: str) -> LogFolder | None:
    """None for a name that no log has."""
    aside = _ASIDE.fullmatch(name)
    if aside is not None:
        return LogFolder(aside[1], int(aside[2]), aside[3])
    served = _FOLDER.fullmatch(name)
    return None if served is None else LogFolder(served[1], int(served[2]))
