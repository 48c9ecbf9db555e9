"""pgoutput: what PostgreSQL's logical decoding sends (protocol version 1), as messages. Pure.

ProtocolError for what is none of it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from ottla.cdc.tables import UNCHANGED, Raw
from ottla.connect.errors import ConnectError

__all__ = [
    "Begin",
    "Change",
    "Commit",
    "Logical",
    "Message",
    "Origin",
    "ProtocolError",
    "Relation",
    "RelationColumn",
    "Truncate",
    "decode",
]

PG_EPOCH_MICROS: Final = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts"""


class ProtocolError(ConnectError):
    """The server sent what it should not."""


class Begin(NamedTuple):
    final_lsn: int
    """Where the transaction's commit is in the log"""
    micros: int
    """When that was, since 1970"""
    xid: int


class Commit(NamedTuple):
    lsn: int
    end_lsn: int
    micros: int


class Origin(NamedTuple):
    lsn: int
    name: str


class RelationColumn(NamedTuple):
    is_key: bool
    name: str
    type_oid: int
    modifier: int


class Relation(NamedTuple):
    oid: int
    schema: str
    name: str
    identity: str
    """d, n, f or i: default, nothing, full, an index"""
    columns: Sequence[RelationColumn]


class Change(NamedTuple):
    kind: str
    """I, U or D"""
    relation: int
    old: Sequence[Raw] | None
    old_is_key: bool
    """Whether `old` has the columns of the key alone"""
    new: Sequence[Raw] | None


class Truncate(NamedTuple):
    relations: Sequence[int]


class Logical(NamedTuple):
    """What `pg_logical_emit_message` wrote."""

    transactional: bool
    lsn: int
    prefix: str
    content: bytes


Message = Begin | Commit | Origin | Relation | Change | Truncate | Logical

_BEGIN: Final = struct.Struct(">qqI")
_COMMIT: Final = struct.Struct(">Bqqq")
_I: Final = struct.Struct(">I")
_H: Final = struct.Struct(">H")
_Q: Final = struct.Struct(">q")
_COLUMN: Final = struct.Struct(">Ii")


def decode(data: bytes) -> Message | None:
    """None for a message that says nothing to us."""
    try:
        return _decode(data)
    except (struct.error, IndexError, ValueError) as error:
        raise ProtocolError(f"the server sent a broken message: {data[:40]!r}") from error


def _decode(data: bytes) -> Message | None:
    kind = data[:1]
    if kind == b"I":
        (relation,) = _I.unpack_from(data, 1)
        new, _ = _tuple(data, 6)
        return Change("I", relation, None, False, new)
    if kind == b"U":
        return _update(data)
    if kind == b"D":
        (relation,) = _I.unpack_from(data, 1)
        old, _ = _tuple(data, 6)
        return Change("D", relation, old, data[5] == 0x4B, None)
    if kind == b"B":
        final, micros, xid = _BEGIN.unpack_from(data, 1)
        return Begin(final, micros + PG_EPOCH_MICROS, xid)
    if kind == b"C":
        _, lsn, end, micros = _COMMIT.unpack_from(data, 1)
        return Commit(lsn, end, micros + PG_EPOCH_MICROS)
    if kind == b"R":
        return _relation(data)
    if kind == b"T":
        (count,) = _I.unpack_from(data, 1)
        if count > len(data) // 4:
            raise ValueError(count)
        return Truncate([_I.unpack_from(data, 6 + 4 * at)[0] for at in range(count)])
    if kind == b"M":
        (lsn,) = _Q.unpack_from(data, 2)
        prefix, at = _text(data, 10)
        (length,) = _I.unpack_from(data, at)
        return Logical(bool(data[1] & 1), lsn, prefix, data[at + 4 : at + 4 + length])
    if kind == b"O":
        (lsn,) = _Q.unpack_from(data, 1)
        return Origin(lsn, _text(data, 9)[0])
    if kind == b"Y":  # a type's name, which the catalog tells
        return None
    raise ValueError(kind)


def _update(data: bytes) -> Change:
    (relation,) = _I.unpack_from(data, 1)
    which, at = data[5], 6
    old: list[Raw] | None = None
    if which != 0x4E:  # N
        old, at = _tuple(data, at)
        at += 1
    new, _ = _tuple(data, at)
    return Change("U", relation, old, which == 0x4B, new)


def _tuple(data: bytes, at: int) -> tuple[list[Raw], int]:
    (count,) = _H.unpack_from(data, at)
    at += 2
    found: list[Raw] = []
    unpack = _I.unpack_from
    for _ in range(count):
        kind = data[at]
        if kind == 0x74:  # t
            end = at + 5 + unpack(data, at + 1)[0]
            if end > len(data):
                raise ValueError(end)
            found.append(data[at + 5 : end])
            at = end
            continue
        if kind == 0x6E:  # n
            found.append(None)
        elif kind == 0x75:  # u
            found.append(UNCHANGED)
        else:
            raise ValueError(kind)
        at += 1
    return found, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1


def _relation(data: bytes) -> Relation:
    (oid,) = _I.unpack_from(data, 1)
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    identity = chr(data[at])
    (count,) = _H.unpack_from(data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        is_key = bool(data[at] & 1)
        column, at = _text(data, at + 1)
        type_oid, modifier = _COLUMN.unpack_from(data, at)
        at += 8
        columns.append(RelationColumn(is_key, column, type_oid, modifier))
    return Relation(oid, schema or "pg_catalog", name, identity, columns)
