import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.consume.filters import Filter, take
from ottla.client.columns.columns import Columns, Record

ROWS = [
    Record("", 0, 0, 5, 0, b"a", b"one \xff", (("h", b"1"),)),
    Record("", 1, 1, 6, 1, None, None, (("h", None), ("h", b"2"))),
    Record("", 0, 2, 7, 0, b"b", b"two", ()),
    Record("", 0, 3, -1, 0, b"a", b"one two", (("H", b"1"),)),
]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(keys={b"a", b"x"}), [0, 3]),
        (Filter(contained=[b"one"]), [0, 3]),
        (Filter(contained=[b"one", b"two"]), [3]),
        (Filter(contained=[b"e \xfft"]), []),
        (Filter(pattern=re.compile(rb"\xff$|^two")), [0, 2]),
        (Filter(headers=[(b"h", None)]), [0, 1]),
        (Filter(headers=[(b"h", b"2")]), [1]),
        (Filter(keys={b"a"}, contained=[b"one"], headers=[(b"H", b"1")]), [3]),
        (Filter(keys={b"c"}), []),
    ],
)
def test_what_is_wanted(wanted, places):
    rows = Columns.of([ROWS[0], *ROWS])[1:]
    assert list(wanted.places(rows)) == places
    assert list(take(rows, wanted.places(rows)).records()) == [ROWS[place] for place in places]


@given(st.sets(st.integers(0, 7)))
def test_rows_are_taken(places):
    rows = [ROWS[at % 4]._replace(offset=at) for at in range(8)]
    chosen = sorted(places)
    assert list(take(Columns.of(rows), chosen).records()) == [rows[at] for at in chosen]
