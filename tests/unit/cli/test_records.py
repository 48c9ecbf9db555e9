import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.records import TextFormat, from_json, headers_of, iso_time, to_json


class Sent:
    """What a consumer gives, as far as commands look at it."""

    def __init__(self, key=None, value=None, headers=None, timestamp=(1, 0)):
        self.parts = {"key": key, "value": value, "headers": headers, "timestamp": timestamp}
        self.parts |= {"topic": "t", "partition": 2, "offset": 7}

    def __getattr__(self, name):
        return lambda: self.parts[name]

    def headers(self):
        """As the client has them, whose names are read when they are asked for."""
        pairs = self.parts["headers"]
        return pairs and [
            (name.decode() if isinstance(name, bytes) else name, value) for name, value in pairs
        ]


bytes_or_null = st.none() | st.binary()
headers = st.lists(
    st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), bytes_or_null)
)


@given(bytes_or_null, bytes_or_null, headers, st.integers(1, 2**63 - 1), st.booleans())
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


def test_names_of_headers_that_are_not_utf8():
    message = Sent(headers=[(b"a\xff", b"1"), (b"\xfe", b"2"), (b"\xc3\xa9", None)])
    assert headers_of(message) == [("a\udcff", b"1"), ("\udcfe", b"2"), ("é", None)]
    assert json.loads(to_json(message))["headers"] == [["a\udcff", "1"], ["\udcfe", "2"], ["é", None]]
    assert TextFormat(headers=True).line(message) == b"a\xff=1,\xfe=2,\xc3\xa9=null\tnull"
    with pytest.raises(UnicodeDecodeError):  # strict means strict again
        b"\xff".decode()


@pytest.mark.parametrize(
    "written",
    [
        "0.1234567890123456789",
        "1.00",
        "1e400",
        "-0",
        "18446744073709551616",
        "9" * 5000,
        "true",
        "[ ]",
        r'{"a" : [1.0,  {"\u00e9": "\ud800"} ], "b":{} }',
        '{"é":"é"}',
    ],
)
def test_values_that_are_no_text_go_out_as_they_were_written(written):
    """Whatever stands around them, and wherever they stand."""
    line = '{ "x": [{}], "value" :\t%s , "key":%s,"headers": [["a", "b"], [ "c" , %s ]]}\r' % ((written,) * 3)
    content = written.encode()
    assert from_json(line.encode()) == {
        "key": content,
        "value": content,
        "headers": [("a", b"b"), ("c", content)],
    }
    assert from_json(b'{"headers": {"n": 1, "m":%s}}' % content)["headers"] == [("n", b"1"), ("m", content)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values, st.sampled_from([None, 1, 7]), st.booleans())
def test_any_json_value_goes_out_as_it_was_written(value, indent, is_ascii):
    written = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    sent = from_json(b'{"value":%s}' % written.encode(errors="surrogatepass"))["value"]
    if value is None or isinstance(value, str):
        assert sent == (value if value is None else value.encode())
    else:
        assert sent == written.encode()


def test_a_byte_order_mark_is_no_part_of_a_line():
    assert from_json(b'\xef\xbb\xbf{"value": "v"}')["value"] == b"v"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON .it is not UTF-8"),
        (b'{"a": 1 2}', "no JSON .Expecting ',' delimiter at character 9"),
        (b'{"value": NaN}', "NaN is no number there"),
        (b'{"value": [-Infinity]}', "-Infinity is no number there"),
        (b'{"value": "a", "value": "b"}', "'value' is there twice"),
        (b'{"value": {"a": 1, "a": 2}}', "'a' is there twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"value": "\\ud800"}', "value has a lone surrogate"),
        (b'{"headers": {"a\\u0000b": "1"}}', r"header name 'a\\x00b' has a NUL"),
        (b'{"headers": [["\\udcff", "1"]]}', r"header name '\\udcff' is not UTF-8"),
        (b'{"partition": 2147483648}', "partition is no number from 0 to 2147483647"),
        (b'{"partition": 1.0}', "partition is no number"),
        (b'{"partition": "1"}', "partition is no number"),
        (b'{"timestamp": 9223372036854775808}', "timestamp is no number from 1 to 9223372036854775807"),
        (b'{"timestamp": 0}', "timestamp is no number from 1"),
        (b'{"timestamp": %s}' % (b"9" * 5000), "timestamp is no number"),
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
