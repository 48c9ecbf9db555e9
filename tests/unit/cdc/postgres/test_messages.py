"""pgoutput's messages, whole and broken."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cdc.postgres.messages import (
    Begin,
    Change,
    Commit,
    Logical,
    Origin,
    ProtocolError,
    Relation,
    RelationColumn,
    Truncate,
    decode,
)
from ottla.cdc.tables import UNCHANGED

BEGIN = b"B" + struct.pack(">qqI", 0x1234, 1_000_000, 77)
COMMIT = b"C" + struct.pack(">Bqqq", 0, 0x1234, 0x1300, 1_000_000)
RELATION = (
    b"R" + struct.pack(">I", 9) + b"public\0people\0d" + struct.pack(">H", 2)
    + b"\1id\0" + struct.pack(">Ii", 23, -1) + b"\0name\0" + struct.pack(">Ii", 1043, 14)
)  # fmt: skip
ROW = struct.pack(">H", 3) + b"t" + struct.pack(">I", 2) + b"42" + b"n" + b"u"
INSERT = b"I" + struct.pack(">I", 9) + b"N" + ROW
UPDATE = b"U" + struct.pack(">I", 9) + b"K" + ROW + b"N" + ROW
UPDATE_FULL = b"U" + struct.pack(">I", 9) + b"O" + ROW + b"N" + ROW
DELETE = b"D" + struct.pack(">I", 9) + b"K" + ROW
TRUNCATE = b"T" + struct.pack(">IBII", 2, 0, 9, 10)
LOGICAL = b"M\1" + struct.pack(">q", 55) + b"pre\0" + struct.pack(">I", 3) + b"abc"
ORIGIN = b"O" + struct.pack(">q", 66) + b"other\0"
ALL = (BEGIN, COMMIT, RELATION, INSERT, UPDATE, UPDATE_FULL, DELETE, TRUNCATE, LOGICAL, ORIGIN)


def test_each_kind() -> None:
    row = [b"42", None, UNCHANGED]
    since_2000 = 946_684_800_000_000
    assert decode(BEGIN) == Begin(0x1234, since_2000 + 1_000_000, 77)
    assert decode(COMMIT) == Commit(0x1234, 0x1300, since_2000 + 1_000_000)
    columns = [RelationColumn(True, "id", 23, -1), RelationColumn(False, "name", 1043, 14)]
    assert decode(RELATION) == Relation(9, "public", "people", "d", columns)
    assert decode(INSERT) == Change("I", 9, None, False, row)
    assert decode(UPDATE) == Change("U", 9, row, True, row)
    assert decode(UPDATE_FULL) == Change("U", 9, row, False, row)
    assert decode(DELETE) == Change("D", 9, row, True, None)
    assert decode(TRUNCATE) == Truncate([9, 10])
    assert decode(LOGICAL) == Logical(True, 55, "pre", b"abc")
    assert decode(ORIGIN) == Origin(66, "other")
    assert decode(b"Y" + bytes(8)) is None


@pytest.mark.parametrize("whole", ALL)
def test_what_is_cut_off_is_refused(whole: bytes) -> None:
    for length in range(len(whole) - (3 if whole is LOGICAL else 0)):
        with pytest.raises(ProtocolError):
            decode(whole[:length])


@given(st.sampled_from(ALL), st.integers(0, 60), st.binary(max_size=4))
def test_what_is_damaged_raises_nothing_else(whole: bytes, at: int, put: bytes) -> None:
    try:
        decode(whole[:at] + put + whole[at + len(put) :])
    except ProtocolError:
        pass
