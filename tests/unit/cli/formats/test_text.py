import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.formats.interface import Defaults, InputError
from ottla.cli.formats.lines import Blocks
from ottla.cli.formats.text import TextDecoder, TextEncoder, TextFormat
from ottla.cli.output import iso_time
from ottla.client.columns.columns import Columns, Record

from .roundtrip import Sent, read, read_until_wrong, record, written

ROW = Record("t", 2, 7, 1_600_000_000_123, 0, b"k", None, (("a", b"1"), ("b", None)))


def shown(record=ROW, **parts):
    return written(TextEncoder(TextFormat(**parts)), [[record]])


def test_text_shows_what_is_asked_for():
    assert shown() == b"null\n"
    assert shown(keys=True, separator=b"|") == b"k|null\n"
    everything = {"offsets": True, "timestamps": True, "headers": True, "keys": True}
    assert shown(**everything) == b"t-2:7\t2020-09-13T12:26:40.123Z\ta=1,b=null\tk\tnull\n"
    assert shown(**everything, escapes=True) == b"t-2:7\t2020-09-13T12:26:40.123Z\ta=1,b=\\N\tk\t\\N\n"
    assert shown(delimiter=b"\0") == b"null\0"


def test_names_of_headers_that_are_not_utf8():
    row = ROW._replace(headers=(("a\udcff", b"1"), ("\udcfe", b"2"), ("é", None)))
    assert shown(row, headers=True) == b"a\xff=1,\xfe=2,\xc3\xa9=null\tnull\n"


def test_times_that_no_calendar_has():
    assert [iso_time(-1), iso_time(2**62)] == ["-", "-"]


def test_ends_of_lines_in_values_are_told():
    encoder = TextEncoder(TextFormat())
    assert encoder.caution() is None
    encoder.rows("t", Columns.of([ROW._replace(value=b"a\nb\n"), ROW]))
    assert encoder.caution() == (
        "2 ends of lines are inside of records: --escape and other formats tell them apart"
    )


SEPARATORS = st.sampled_from([b"\n", b"\0", b",", b"||", b"\r\n", b"\xff\xff\xfe", b"  "])


@given(
    st.lists(st.lists(record(), max_size=5), max_size=3),
    SEPARATORS,
    SEPARATORS,
    st.integers(1, 20),
    st.booleans(),
)
def test_escaped_text_carries_keys_and_values(batches, delimiter, separator, step, has_keys):
    if delimiter in separator or separator in delimiter:
        return
    kind = TextFormat(keys=has_keys, separator=separator, delimiter=delimiter, escapes=True)
    text = written(TextEncoder(kind), batches)
    decoder = TextDecoder(
        Defaults(), key_separator=separator if has_keys else None, delimiter=delimiter, escapes=True
    )
    rows = [row for batch in batches for row in batch]
    assert read(decoder, text, step) == [Sent(row.key if has_keys else None, row.value) for row in rows]


@given(
    st.lists(st.binary(max_size=9).filter(lambda value: b"\n" not in value), max_size=9), st.integers(1, 9)
)
def test_lines_are_the_files(values, step):
    text = written(TextEncoder(TextFormat()), [[ROW._replace(value=value) for value in values]])
    assert text == b"".join(value + b"\n" for value in values)
    assert read(TextDecoder(Defaults()), text, step) == [Sent(None, value) for value in values]


@given(
    st.binary(max_size=60), st.integers(1, 7), st.sampled_from([b"\n", b"ab", b"aab", b"aa", b"aba", b"\r\n"])
)
def test_blocks_are_what_is_there(data, step, delimiter):
    """However it comes, and whatever a delimiter looks like."""
    data = data.replace(b"\x00", b"a").replace(b"\x01", delimiter)
    blocks, lines = Blocks(1000, delimiter), []
    for at in range(0, len(data), step):
        if (block := blocks.feed(data[at : at + step])) is not None:
            lines += bytes(block).split(delimiter)
    last = blocks.end()
    expected = data.split(delimiter)
    assert lines + ([] if last is None else [last]) == (expected if expected[-1] else expected[:-1])


def test_a_line_with_a_key_and_headers():
    defaults = Defaults([(b"h", b"1"), (b"h", None)])
    assert read(TextDecoder(defaults, key_separator=b":"), b"k:v:w\n:\r\n") == [
        Sent(b"k", b"v:w", ((b"h", b"1"), (b"h", None))),
        Sent(b"", b"\r", ((b"h", b"1"), (b"h", None))),
    ]
    got, wrong = read_until_wrong(TextDecoder(Defaults(), key_separator=b":"), b"k:v\nkv\n")
    assert (got, wrong) == ([Sent(b"k", b"v")], "line 2: there is no ':' to end a key")
    _, wrong = read_until_wrong(TextDecoder(Defaults(), key_separator=b"\xff"), b"\xc3\xbf")
    assert wrong == r"line 1: there is no '\xff' to end a key"


def test_escapes_that_are_none():
    got, wrong = read_until_wrong(TextDecoder(Defaults(), escapes=True), b"a\\\\b\n\\N\n\\q\nc\n")
    assert got == [Sent(None, b"a\\b"), Sent(None, None)]
    assert wrong.startswith("line 3: '\\\\q' has an escape that is none of ")
    with pytest.raises(ValueError, match="no letters, digits and backslashes"):
        TextEncoder(TextFormat(separator=b"x", escapes=True))


@pytest.mark.parametrize("options", [{}, {"key_separator": b"x"}, {"escapes": True}], ids=str)
@pytest.mark.parametrize("size", [1002, 100_000])
@pytest.mark.parametrize("step", [1, 3, 1 << 20])
def test_no_more_of_a_line_is_taken_than_a_record_may_have(options, size, step):
    decoder = TextDecoder(Defaults(record_max_bytes=1000), **options)
    data = b"onex\ntwox\n" + b"y" * size + b"x\nlastx\n"
    rows: list[bytes | None] = []
    fed = 0

    def feed() -> None:
        nonlocal fed
        for at in range(0, len(data), step):
            fed = at + step
            for each in decoder.feed(data[at:fed]):
                rows.extend(each.columns.value)

    with pytest.raises(InputError, match=r"^line 3 has more than [14],000 bytes \(-X max.request.size=N "):
        feed()
    assert len(rows) == 2
    assert fed <= 10 + 4000 + step


@pytest.mark.parametrize("size", [999, 1000])
def test_a_line_as_long_as_a_record(size):
    assert read(TextDecoder(Defaults(record_max_bytes=1000)), b"x" * size, 3) == [Sent(None, b"x" * size)]


def test_places_are_lines():
    decoder = TextDecoder(Defaults())
    first, second = [*decoder.feed(b"a\nb\n"), *decoder.feed(b"c\n")]
    assert (first.places.of(1), second.places.of(0)) == ("line 2", "line 3")
