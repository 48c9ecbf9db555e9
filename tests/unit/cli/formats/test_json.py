import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.formats.interface import Defaults, Parsed
from ottla.cli.formats.json import JsonDecoder, JsonEncoder, from_json
from ottla.client.columns.columns import Record

from .roundtrip import Sent, read, read_until_wrong, record, sent_of, written


@given(st.lists(st.lists(record(), max_size=5), max_size=3), st.integers(1, 60), st.booleans())
def test_json_carries_every_record(batches, step, use_base64):
    text = written(JsonEncoder(use_base64=use_base64), batches)
    rows = [row for batch in batches for row in batch]
    assert len(text.splitlines()) == len(rows)
    assert read(JsonDecoder(Defaults(), use_base64=use_base64), text, step) == list(map(sent_of, rows))


def test_json_names_what_a_record_has():
    row = Record("t", 2, 7, 5, 0, b"k", b"v\xc3\xa9", (("a", b"1"), ("a\udcff", None)))
    assert json.loads(written(JsonEncoder(), [[row]])) == {
        "topic": "t",
        "partition": 2,
        "offset": 7,
        "timestamp": 5,
        "key": "k",
        "value": "vé",
        "headers": [["a", "1"], ["a\udcff", None]],
    }
    assert json.loads(written(JsonEncoder(), [[row._replace(timestamp=-1)]]))["timestamp"] is None


def test_a_line_comes_before_what_is_common():
    text = b'\n{"value": "v", "headers": {"own": "2"}}\n \t\r\n{"key": "k"}'
    decoder = JsonDecoder(Defaults([(b"h", b"1")]))
    assert read(decoder, text) == [Sent(None, b"v", ((b"own", b"2"),)), Sent(b"k", None, ((b"h", b"1"),))]


def test_what_is_wrong_is_told_with_its_line():
    got, wrong = read_until_wrong(JsonDecoder(Defaults()), b'{"value": "a"}\n\n{')
    assert (got, wrong[:15]) == ([Sent(None, b"a")], "line 3: no JSON")
    got, wrong = read_until_wrong(
        JsonDecoder(Defaults(record_max_bytes=3)), b'{"value": "a"}\n{"value": "long"}'
    )
    assert wrong == "line 2: a record of 4 bytes is too large (-X max.request.size=N allows more)"


def test_lines_may_be_as_long_as_their_records_need():
    line = json.dumps({"value": (b"\xff" * 1000).decode(errors="surrogateescape")}).encode()
    assert len(line) > 6000
    assert read(JsonDecoder(Defaults(record_max_bytes=1000)), line, 100) == [Sent(None, b"\xff" * 1000)]


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
    assert from_json(line.encode()) == Parsed(content, content, ((b"a", b"b"), (b"c", content)))
    assert from_json(b'{"headers": {"n": 1, "m":%s}}' % content).headers == ((b"n", b"1"), (b"m", content))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values, st.sampled_from([None, 1, 7]), st.booleans())
def test_any_json_value_goes_out_as_it_was_written(value, indent, is_ascii):
    written = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    sent = from_json(b'{"value":%s}' % written.encode(errors="surrogatepass")).value
    if value is None or isinstance(value, str):
        assert sent == (value if value is None else value.encode())
    else:
        assert sent == written.encode()


def test_a_byte_order_mark_is_no_part_of_a_line():
    assert from_json(b'\xef\xbb\xbf{"value": "v"}').value == b"v"


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
        (b'{"headers": [["\\ud800", "1"]]}', r"header name '\\ud800' has a lone surrogate"),
        (b'{"partition": 2147483648}', "partition is no number from 0 to 2147483647"),
        (b'{"partition": 1.0}', "partition is no number"),
        (b'{"partition": "1"}', "partition is no number"),
        (b'{"timestamp": 9223372036854775808}', "timestamp is no number from 0 to 9223372036854775807"),
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
@pytest.mark.usefixtures("no_collection")
def test_json_that_is_no_record(line, complaint):
    with pytest.raises(ValueError, match=complaint):
        from_json(line)


@pytest.mark.parametrize("value", ['"no base64!"', "5"])
def test_base64_that_is_none(value):
    with pytest.raises(ValueError, match="value is no base64"):
        from_json(b'{"value": %s}' % value.encode(), use_base64=True)
