from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.formats.interface import Defaults
from ottla.cli.formats.raw import RawDecoder, RawEncoder

from .roundtrip import Sent, read, read_until_wrong, record, written


@given(st.lists(st.lists(record(), max_size=4), max_size=3))
def test_nothing_is_between_values(batches):
    assert written(RawEncoder(), batches) == b"".join(row.value or b"" for batch in batches for row in batch)


@given(st.binary(max_size=30), st.integers(1, 9))
def test_all_of_the_input_is_a_value(data, step):
    assert read(RawDecoder(Defaults()), data, step) == [Sent(None, data)]


def test_an_input_that_is_too_large():
    got, wrong = read_until_wrong(RawDecoder(Defaults(record_max_bytes=10)), b"x" * 11)
    assert got == []
    assert wrong.startswith("the input is one record, of more than 10 bytes")
