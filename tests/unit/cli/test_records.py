import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.connection import CommandError
from ottla.cli.records import TextFormat, from_json, iso_time, parse_headers, to_json, unescape


class Sent:
    """What a consumer gives, as far as commands look at it."""

    def __init__(self, key=None, value=None, headers=None, timestamp=(1, 0)):
        self.parts = {"key": key, "value": value, "headers": headers, "timestamp": timestamp}
        self.parts |= {"topic": "t", "partition": 2, "offset": 7}

    def __getattr__(self, name):
        return lambda: self.parts[name]


bytes_or_null = st.none() | st.binary()
headers = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), bytes_or_null))


@given(bytes_or_null, bytes_or_null, headers, st.integers(0, 2**62), st.booleans())
def test_json_carries_every_record(key, value, headers, timestamp, use_base64):
    line = to_json(Sent(key, value, headers, (1, timestamp)), use_base64=use_base64)
    assert b"\n" not in line
    sent = {"key": key, "value": value, "partition": 2, "timestamp": timestamp}
    assert from_json(line, use_base64=use_base64) == (sent | {"headers": headers} if headers else sent)


def test_json_names_what_a_record_has():
    message = Sent(b"k", b"v\xc3\xa9", [("a", b"1"), ("a", None)], (1, 5))
    assert json.loads(to_json(message)) == {
        "topic": "t",
        "partition": 2,
        "offset": 7,
        "timestamp": 5,
        "key": "k",
        "value": "vé",
        "headers": [["a", "1"], ["a", None]],
    }
    assert json.loads(to_json(Sent(timestamp=(0, -1))))["timestamp"] is None


def test_json_values_that_are_no_text_stand_for_their_json():
    assert from_json(b'{"value": {"a": [1, "\xc3\xa9"]}}') == {
        "key": None,
        "value": '{"a": [1, "é"]}'.encode(),
    }
    assert from_json(b'{"headers": {"n": 1}}')["headers"] == [("n", b"1")]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"partition": -1}', "partition is no number"),
        (b'{"partition": true}', "partition is no number"),
        (b'{"timestamp": "now"}', "timestamp is no number"),
        (b'{"headers": 3}', "headers are neither"),
        (b'{"headers": [["a"]]}', "a header is no pair"),
        (b'{"headers": [[1, "b"]]}', "a header is no pair"),
    ],
)
def test_json_that_is_no_record(line, complaint):
    with pytest.raises(ValueError, match=complaint):
        from_json(line)


@pytest.mark.parametrize("value", ['"no base64!"', "5"])
def test_base64_that_is_none(value):
    with pytest.raises(ValueError, match="value is no base64"):
        from_json(b'{"value": %s}' % value.encode(), use_base64=True)


def test_text_shows_what_is_asked_for():
    message = Sent(b"k", None, [("a", b"1"), ("b", None)], (1, 1_600_000_000_123))
    assert TextFormat().line(message) == b"null"
    assert TextFormat(keys=True, separator=b"|").line(message) == b"k|null"
    everything = TextFormat(offsets=True, timestamps=True, headers=True, keys=True)
    assert everything.line(message) == b"t-2:7\t2020-09-13T12:26:40.123Z\ta=1,b=null\tk\tnull"


def test_times_that_no_calendar_has():
    assert [iso_time(-1), iso_time(2**62)] == ["-", "-"]


def test_separators_are_unescaped():
    assert [unescape(text) for text in (r"\t", r"\x00", "::", "é")] == [b"\t", b"\0", b"::", "é".encode()]
    with pytest.raises(CommandError, match="no separator"):
        unescape("\\")


def test_header_options():
    assert parse_headers(("a=1", "b=", "c", "d=x=y")) == [("a", b"1"), ("b", b""), ("c", None), ("d", b"x=y")]
