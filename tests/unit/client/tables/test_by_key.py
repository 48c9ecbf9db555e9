"""The last record of each key, however its pieces are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.client.columns.columns import Columns, Record
from ottla.client.tables.by_key import Latest
from ottla.client.tables.rows import take

_rows = st.lists(
    st.tuples(st.sampled_from([None, b"a", b"b", b"c"]), st.sampled_from([None, b"1", b"2"])), max_size=40
)


@settings(deadline=None)
@given(rows=_rows, cuts=st.lists(st.integers(0, 40)), slack=st.sampled_from([0, 5, 1000]))
def test_as_a_dict_would(rows: list[tuple[bytes | None, bytes | None]], cuts: list[int], slack: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ottla.client.tables.by_key._SLACK", slack)
        records = [Record("t", 0, i, 7, 0, key, value, (("h", key),)) for i, (key, value) in enumerate(rows)]
        columns = Columns.of(records)
        kept = Latest()
        edges = sorted({0, len(rows), *(each for each in cuts if each < len(rows))})
        for start, end in pairwise(edges):
            kept.add(columns[start:end])
        wanted = {record.key: record for record in records if record.key is not None}
        assert len(kept) == len(wanted)
        found = list(kept.rows(tombstones=True).records("t"))
        assert found == [wanted[key] for key in sorted(wanted)]
        live = list(kept.rows(tombstones=False).records("t"))
        assert live == [each for each in found if each.value is not None]


def test_take_keeps_everything_of_a_row() -> None:
    records = [
        Record("t", i % 2, i, 10 * i, i % 2, None if i == 1 else b"%d" % i, b"v", (("n", b"%d" % i),))
        for i in range(4)
    ]
    assert list(take(Columns.of(records), [3, 1]).records("t")) == [records[3], records[1]]
    assert len(take(Columns.of(records), [])) == 0
