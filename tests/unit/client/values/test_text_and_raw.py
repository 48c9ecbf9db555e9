"""Text and raw values: bytes stay what they were, and broken text is broken in its row alone."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.interface import ValuesError
from ottla.client.values.raw import RawValues
from ottla.client.values.text import TextValues

BYTES = st.lists(st.binary(max_size=8) | st.none(), max_size=10)


@given(BYTES, st.data())
def test_raw_values_are_the_bytes(values: list[bytes | None], data: st.DataObject) -> None:
    column = BinaryColumn.of(values)
    start = data.draw(st.integers(0, len(values)))
    decoded = RawValues().decoder().decode(column[start:])
    assert decoded.array.to_pylist() == values[start:]
    assert list(RawValues().encode(decoded.array)) == values[start:]


def test_raw_values_of_large_offsets() -> None:
    offsets = memoryview(memoryview(bytes(24)).cast("q"))
    decoded = RawValues().decoder().decode(BinaryColumn(offsets, b""))
    assert decoded.array.type == pa.binary()
    assert decoded.array.to_pylist() == [b"", b""]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", None, "é"]),
        pa.array(["a", None, "é"], pa.large_string()),
        pa.array(["a", None, "é"], pa.string_view()),
        pa.array(["", "a", None, "é"]).slice(1),
    ],
)
def test_any_layout_of_strings_is_written(array: pa.Array) -> None:
    expected = [b"a", None, "é".encode()]
    assert list(RawValues().encode(array)) == expected
    assert list(TextValues().encode(array)) == expected


def test_nothing_is_written_as_nulls() -> None:
    for values in (RawValues(), TextValues()):
        assert list(values.encode(pa.nulls(2))) == [None, None]
        assert list(values.encode(pa.nulls(0, pa.string()))) == []


def test_numbers_are_neither_raw_nor_text() -> None:
    for values in (RawValues(), TextValues()):
        with pytest.raises(ValuesError, match="int64"):
            values.encode(pa.array([1]))


@given(BYTES, st.sampled_from(["utf-8", "latin-1", "utf-16-le", "cp1252", "utf-7"]))
def test_text_is_what_python_decodes(values: list[bytes | None], encoding: str) -> None:
    decoder = TextValues(encoding).decoder()
    decoded = decoder.decode(BinaryColumn.of(values))
    decoded.array.validate(full=True)
    for row, value in enumerate(values):
        try:
            expected = None if value is None else value.decode(encoding)
            if expected is not None:
                expected.encode()
        except UnicodeError:
            assert row in decoded.broken
        else:
            assert decoded.array[row].as_py() == expected
    counts = decoder.counts
    assert (counts.records, counts.nulls, counts.broken) == (
        len(values),
        values.count(None),
        len(decoded.broken),
    )


def test_broken_text_may_be_replaced() -> None:
    decoded = TextValues(invalid="replace").decoder().decode(BinaryColumn.of([b"a\xffb", None, b"c"]))
    assert decoded.array.to_pylist() == ["a\ufffdb", None, "c"]
    assert not decoded.broken


def test_text_is_written_in_its_encoding() -> None:
    assert list(TextValues("utf-16-le").encode(pa.array(["a", None]))) == [b"a\0", None]
    assert list(TextValues("latin-1").encode(pa.array(["é"]).dictionary_encode())) == [b"\xe9"]
    with pytest.raises(ValuesError, match="€"):
        TextValues("latin-1").encode(pa.array(["€"]))


@pytest.mark.parametrize("encoding", ["base64", "no such", "rot13"])
def test_what_is_no_text_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(ValuesError, match=encoding):
        TextValues(encoding)


def test_unknown_policies_are_refused() -> None:
    with pytest.raises(ValuesError, match="errors"):
        TextValues(errors="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValuesError, match="invalid"):
        TextValues(invalid="ignore")  # type: ignore[arg-type]
