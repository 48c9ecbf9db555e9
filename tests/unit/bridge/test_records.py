"""Records in HTTP's bodies."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.bridge.media import Format
from ottla.bridge.records import MAX_RECORDS, NotJsonError, outgoing, received
from ottla.client.columns.columns import Record
from ottla.http.errors import HttpError

JSON = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.lists(st.tuples(st.text(), st.none() | st.binary(max_size=9)), max_size=3)


def embedded(format_: Format, value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@given(st.sampled_from(Format), st.data(), HEADERS, st.none() | st.integers(0, 2**40))
def test_what_is_received_is_what_was_sent(
    format_: Format, data: st.DataObject, headers: list[tuple[str, bytes | None]], timestamp: int | None
) -> None:
    values = {Format.JSON: JSON, Format.TEXT: st.text(), Format.BINARY: st.binary(max_size=20)}[format_]
    key, value = data.draw(st.none() | values), data.draw(st.none() | values)
    record = {
        "key": embedded(format_, key),
        "value": embedded(format_, value),
        "headers": [{"key": name, "value": embedded(format_, each)} for name, each in headers],
    } | ({} if timestamp is None else {"timestamp": timestamp})
    (sent,) = outgoing(format_, json.dumps({"records": [record]}, indent=2).encode(), 3)
    assert (sent.partition, sent.timestamp, list(sent.headers)) == (3, timestamp, headers)
    if format_ is Format.JSON and value is not None:
        assert (
            sent.value == json.dumps(value, separators=(",", ":")).encode() or json.loads(sent.value) == value
        )
    got = Record("t", 3, 7, timestamp or 0, 0, sent.key, sent.value, sent.headers)
    body, rest = received(format_, [got], 1 << 20)
    assert rest is None
    (shown,) = json.loads(body)
    assert (shown["key"], shown["value"]) == (record["key"], record["value"])
    assert shown.get("headers", []) == record["headers"]
    assert (shown["topic"], shown["partition"], shown["offset"]) == ("t", 3, 7)


def record_of(value: bytes, offset: int) -> Record:
    return Record("t", 0, offset, 0, 0, None, value)


def test_only_what_has_room_is_given() -> None:
    records = [record_of(b"x" * 40, offset) for offset in range(3)]
    whole, rest = received(Format.TEXT, records, 1 << 20)
    assert rest is None
    for most in range(2, len(whole) + 1):
        body, rest = received(Format.TEXT, records, most)
        assert len(body) <= most
        assert len(json.loads(body)) == (3 if rest is None else rest.offset)


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b"1 2", b"nul"])
def test_what_json_cannot_show_is_told_before_it_is_passed_over(value: bytes) -> None:
    with pytest.raises(NotJsonError, match="offset 5 of t-0"):
        received(Format.JSON, [record_of(value, 5)], 1 << 20)
    body, rest = received(Format.JSON, [record_of(b"1", 4), record_of(value, 5)], 1 << 20)
    assert rest is not None
    assert rest.offset == 5
    assert [each["value"] for each in json.loads(body)] == [1]


def test_a_request_has_no_more_records_than_it_may_have() -> None:
    with pytest.raises(HttpError) as refused:
        outgoing(Format.JSON, b'{"records":[%s]}' % b",".join([b'{"value":1}'] * (MAX_RECORDS + 1)), None)
    assert refused.value.status == 422


@given(
    st.sampled_from(Format),
    st.binary(max_size=200) | st.from_regex(rb'\{"records":\[.{0,40}\]\}', fullmatch=True),
)
def test_any_bytes_are_records_or_are_refused(format_: Format, body: bytes) -> None:
    with contextlib.suppress(HttpError):
        outgoing(format_, body, None)
