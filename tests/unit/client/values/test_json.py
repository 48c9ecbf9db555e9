"""JSON values: row i is record i, integers are exact, and what is broken is so by itself."""

from __future__ import annotations

import json
from datetime import date, time, timedelta
from decimal import Decimal

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.interface import ValuesError
from ottla.client.values.json import JsonDecoder, JsonValues

ORDER = pa.schema([("id", pa.int64()), ("name", pa.string())])


def decoder(schema: pa.Schema | pa.DataType | None = None) -> JsonDecoder:
    return JsonValues(schema).decoder()


def rows(schema: pa.Schema | pa.DataType | None, *values: bytes | None) -> list[object]:
    decoded = decoder(schema).decode(BinaryColumn.of(values))
    decoded.array.validate(full=True)
    assert not decoded.broken
    return decoded.array.to_pylist()


def reasons(schema: pa.Schema | pa.DataType | None, *values: bytes | None) -> dict[int, str]:
    decoded = decoder(schema).decode(BinaryColumn.of(values))
    decoded.array.validate(full=True)
    assert len(decoded.array) == len(values)
    assert all(not decoded.array[row].is_valid for row in decoded.broken)
    return dict(decoded.broken)


def test_declared_fields_are_read_and_others_skipped() -> None:
    assert rows(ORDER, b'{"x":[{}],"id":1,"name":"a"}', b'{"name":null}', b"{}") == [
        {"id": 1, "name": "a"},
        {"id": None, "name": None},
        {"id": None, "name": None},
    ]


def test_row_i_is_record_i_whatever_the_rows_hold() -> None:
    values = [
        b"",
        None,
        b" ",
        b"\n",
        b'{"id":1}{"id":2}',
        b'{"id":\n3}',
        b"{",
        b"}",
        b'{"id":4}',
        b"null",
        b"[]",
    ]
    decoded = decoder(ORDER).decode(BinaryColumn.of(values))
    ids = [None if row is None else row["id"] for row in decoded.array.to_pylist()]
    assert ids == [None, None, None, None, None, 3, None, None, 4, None, None]
    assert sorted(decoded.broken) == [0, 2, 3, 4, 6, 7, 10]


def test_tombstones_are_null_and_counted() -> None:
    it = decoder(ORDER)
    it.decode(BinaryColumn.of([None, b'{"id":1}', b"?"]))
    it.decode(BinaryColumn.of([None]))
    assert (it.counts.records, it.counts.nulls, it.counts.broken) == (4, 2, 1)


def test_a_slice_of_a_column_is_decoded_as_such() -> None:
    column = BinaryColumn.of([b'{"id":%d}' % number if number % 3 else None for number in range(20)])
    decoded = decoder(ORDER).decode(column[5:9])
    assert decoded.array.field("id").to_pylist() == [5, None, 7, 8]


def test_more_rows_than_are_decoded_at_once() -> None:
    values = [b'{"id":%d}' % number for number in range(10_000)]
    values[4096] = b'{"id":"x"}'
    values[9999] = b'{"id":%d}' % 2**63
    decoded = decoder(ORDER).decode(BinaryColumn.of(values))
    assert sorted(decoded.broken) == [4096, 9999]
    assert decoded.array.field("id")[9998].as_py() == 9998


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int64(), b"9223372036854775808"),
        (pa.int64(), b"1.0"),
        (pa.int64(), b"true"),
        (pa.int64(), b'"1"'),
        (pa.int8(), b"128"),
        (pa.uint64(), b"-1"),
        (pa.uint64(), b"18446744073709551616"),
        (pa.float64(), b"9007199254740993"),
        (pa.float64(), b"1e400"),
        (pa.float64(), b"NaN"),
        (pa.float64(), b"true"),
        (pa.string(), b"1"),
        (pa.string(), b'"\xff"'),
        (pa.string(), b'"\\ud800"'),
        (pa.bool_(), b"1"),
        (pa.decimal128(5, 2), b"1.234"),
        (pa.decimal128(5, 2), b'"NaN"'),
        (pa.timestamp("ms"), b'"2024-01-01T00:00:00Z"'),
        (pa.timestamp("ms", "UTC"), b'"2024-01-01T00:00:00"'),
        (pa.timestamp("ms"), b"1.5"),
        (pa.date32(), b'"yesterday"'),
        (pa.binary(), b'"?"'),
        (pa.binary(2), b'"AA=="'),
        (pa.list_(pa.int64(), 2), b"[1]"),
        (pa.list_(pa.int64()), b'[1, "a"]'),
        (pa.map_(pa.string(), pa.int64()), b'{"a": "b"}'),
        (pa.struct([("a", pa.uint64())]), b'{"a": 18446744073709551616}'),
        (pa.struct([('"', pa.int64())]), b'{"\\"": "a"}'),
        (pa.null(), b"0"),
        (pa.json_(), b"["),
    ],
)
def test_what_does_not_fit_its_type_is_broken_alone(kind: pa.DataType, value: bytes) -> None:
    assert list(reasons(kind, b"null", value, b"null")) == [1]


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (pa.uint64(), b"18446744073709551615", 2**64 - 1),
        (pa.int64(), b"-9223372036854775808", -(2**63)),
        (pa.float64(), b"1", 1.0),
        (pa.float32(), b"0.5", 0.5),
        (
            pa.decimal128(38),
            b"12345678901234567890123456789012345678",
            Decimal(12345678901234567890123456789012345678),
        ),
        (pa.decimal128(5, 2), b"1.5", Decimal("1.50")),
        (pa.decimal128(5, 2), b'"1.50"', Decimal("1.50")),
        (pa.large_string(), b'"\\u00e9\\n"', "é\n"),
        (pa.string_view(), b'"a"', "a"),
        (pa.dictionary(pa.int32(), pa.string()), b'"a"', "a"),
        (pa.binary(), b'"AP8="', b"\x00\xff"),
        (pa.date32(), b'"2024-02-29"', date(2024, 2, 29)),
        (pa.time64("us"), b'"12:00:00.5"', time(12, 0, 0, 500_000)),
        (pa.large_list(pa.int8()), b"[1,null]", [1, None]),
        (pa.list_(pa.int8(), 2), b"[1,2]", [1, 2]),
        (pa.map_(pa.string(), pa.list_(pa.int8())), b'{"a":[1],"":null}', [("a", [1]), ("", None)]),
        (pa.struct([]), b'{"a":1}', {}),
        (
            pa.struct([('a"\\', pa.struct([("\n", pa.int8())]))]),
            b'{"a\\"\\\\":{"\\n":1}}',
            {'a"\\': {"\n": 1}},
        ),
        (pa.json_(), b'{"a": [1.50]}', '{"a": [1.50]}'),
    ],
)
def test_types(kind: pa.DataType, value: bytes, read: object) -> None:
    assert rows(kind, value, None, b"null", value) == [read, None, None, read]


def test_timestamps_are_text_or_counts_and_keep_nanoseconds() -> None:
    kind = pa.timestamp("ns", "Europe/Berlin")
    values = [
        b'"2024-01-01T01:00:00.123456789+01:00"',
        b"1704067200123456789",
        b'"2024-01-01 00:00:00.123456789Z"',
    ]
    decoded = decoder(kind).decode(BinaryColumn.of([*values, None]))
    assert decoded.array.cast(pa.int64()).to_pylist() == [1704067200123456789] * 3 + [None]
    assert list(JsonValues().encode(decoded.array)) == [b'"2024-01-01T00:00:00.123456789Z"'] * 3 + [None]


def test_a_schema_is_inferred_once() -> None:
    it = decoder()
    assert it.type is None
    assert it.decode(BinaryColumn.of([None, b"?", b"null"])).array.to_pylist() == [None] * 3
    assert it.type is None
    it.decode(BinaryColumn.of([b'{"a":1,"b":{"c":["x"]}}', b'{"a":2.5,"d":true}']))
    inferred = pa.struct(
        [
            ("a", pa.float64()),
            ("b", pa.struct([("c", pa.list_(pa.string()))])),
            ("d", pa.bool_()),
        ]
    )
    assert it.type == inferred
    later = it.decode(BinaryColumn.of([b'{"a":"x"}', b'{"e":1}', b'{"a":3}']))
    assert it.type == inferred
    assert later.broken == {0: "Expected `int | float | null`, got `str` - at `$.a`"}
    assert later.array.field("a").to_pylist() == [None, None, 3.0]


def test_an_integer_that_a_string_follows_stays_an_integer() -> None:
    assert list(reasons(None, b'{"a":1}', b'{"a":"x"}', b'{"a":[]}', b'{"a":2}')) == [1, 2]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([b"1", b"-1"], pa.int64()),
        ([b"1", b"18446744073709551615"], pa.uint64()),
        ([b"-1", b"18446744073709551615"], pa.decimal128(38)),
        ([b"1" * 60], pa.decimal256(76)),
        ([b"1" * 80], pa.json_()),
        ([b"true", b"false"], pa.bool_()),
        ([b"[]", b"[null]"], pa.list_(pa.null())),
        ([b"[[1],[2.5]]"], pa.list_(pa.list_(pa.float64()))),
        ([b'"2024-01-01"'], pa.string()),
    ],
)
def test_inferred_types(values: list[bytes], kind: pa.DataType) -> None:
    it = decoder()
    decoded = it.decode(BinaryColumn.of(values))
    assert it.type == kind
    assert not decoded.broken


@pytest.mark.usefixtures("no_collection")
def test_what_lies_deep_stays_json_and_what_lies_too_deep_is_broken() -> None:
    it = decoder()
    deep = b"[" * 40 + b"7" + b"]" * 40
    decoded = it.decode(BinaryColumn.of([deep, b'{"a":' + b"[" * 1_000_000]))
    assert list(decoded.broken) == [1]
    assert JsonValues().encode(decoded.array)[0] == deep


def test_objects_of_too_many_fields_need_a_schema() -> None:
    wide = json.dumps({f"f{number}": 1 for number in range(1001)}).encode()
    with pytest.raises(ValuesError, match="declare a schema"):
        decoder().decode(BinaryColumn.of([wide]))
    assert len(rows(pa.map_(pa.string(), pa.int64()), wide)[0]) == 1001  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "schema",
    [
        pa.month_day_nano_interval(),
        pa.map_(pa.float64(), pa.string()),
        pa.struct([pa.field("a", pa.int64()), pa.field("a", pa.string())]),
        "int64",
    ],
)
def test_schemas_that_json_has_nothing_for_are_refused(schema: object) -> None:
    with pytest.raises(ValuesError):
        JsonValues(schema)


def test_encoding_what_json_cannot_hold_is_refused() -> None:
    twice = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()))
    with pytest.raises(ValuesError, match="twice"):
        JsonValues().encode(twice)
    with pytest.raises(ValuesError, match="not supported"):
        JsonValues().encode(pa.nulls(1, pa.month_day_nano_interval()))


def test_numbers_that_are_none_are_written_as_null() -> None:
    assert list(JsonValues().encode(pa.array([float("nan"), float("inf"), 1.5]))) == [
        b"null",
        b"null",
        b"1.5",
    ]


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.none()
SCALARS: list[tuple[pa.DataType, st.SearchStrategy[object]]] = [
    (pa.int64(), NUMBERS),
    (pa.uint64(), st.integers(0, 2**64 - 1) | st.none()),
    (pa.float64(), st.floats(allow_nan=False, allow_infinity=False) | st.none()),
    (pa.bool_(), st.booleans() | st.none()),
    (pa.string(), st.text() | st.none()),
    (pa.large_binary(), st.binary() | st.none()),
    (pa.decimal128(38, 9), st.decimals(-(10**20), 10**20, places=9) | st.none()),
    (pa.timestamp("us", "UTC"), st.integers(-(2**52), 2**52) | st.none()),
    (pa.timestamp("ns"), NUMBERS.filter(lambda number: number is None or abs(number) < 2**62)),
    (pa.date32(), st.dates() | st.none()),
    (pa.time64("us"), st.times() | st.none()),
]


@st.composite
def arrays(draw: st.DrawFn) -> pa.Array:
    def typed(depth: int) -> tuple[pa.DataType, st.SearchStrategy[object]]:
        shape = draw(st.sampled_from(["scalar", "list", "struct", "map"])) if depth else "scalar"
        if shape == "scalar":
            return draw(st.sampled_from(SCALARS))
        kind, values = typed(depth - 1)
        if shape == "list":
            return pa.list_(kind), st.lists(values, max_size=3) | st.none()
        if shape == "map":
            return pa.map_(pa.string(), kind), st.dictionaries(st.text(), values, max_size=3).map(
                lambda each: list(each.items())
            ) | st.none()
        names = draw(st.lists(st.text(max_size=5), unique=True, min_size=1, max_size=3))
        parts = {name: typed(depth - 1) for name in names}
        fields = pa.struct([(name, part[0]) for name, part in parts.items()])
        return fields, st.fixed_dictionaries({name: part[1] for name, part in parts.items()}) | st.none()

    kind, values = typed(3)
    array = pa.array(draw(st.lists(values, max_size=6)), kind)
    start = draw(st.integers(0, len(array)))
    return array.slice(start)


@given(arrays())
def test_what_is_written_is_read_again(array: pa.Array) -> None:
    decoded = decoder(array.type).decode(JsonValues().encode(array))
    decoded.array.validate(full=True)
    assert not decoded.broken
    assert decoded.array.equals(array)


def read_by_python(value: bytes) -> object:
    """What `value` is as an `ORDER`; raises ValueError for what is none."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    parsed = json.loads(value.decode(), parse_constant=refuse)
    if parsed is None:
        return None
    if not isinstance(parsed, dict):
        raise ValueError("no object")
    number, name = parsed.get("id"), parsed.get("name")
    if number is not None and (type(number) is not int or not -(2**63) <= number < 2**63):
        raise ValueError("no int64")
    if name is not None:
        name.encode()
    return {"id": number, "name": name}


def spoiled(values: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of `values` with a byte put somewhere: ASCII, as the text of fields nobody wants is not checked."""
    return st.builds(
        lambda value, at, byte: (
            value[: at % (len(value) + 1)] + bytes([byte]) + value[at % (len(value) + 1) :]
        ),
        st.sampled_from(values),
        st.integers(0, 100),
        st.integers(0, 127),
    )


OBJECTS = st.fixed_dictionaries(
    {}, optional={"id": st.integers(-(2**64), 2**64), "name": st.text(max_size=4) | st.none(), "x": st.none()}
).map(lambda each: json.dumps(each).encode())


@given(
    st.lists(
        st.none()
        | OBJECTS
        | st.binary(max_size=4)
        | spoiled([b'{"id": 12, "name": "\\u0061\xc3\xa9"}', b'{"name":"","id":-0}', b"null", b"{}"]),
        max_size=20,
    )
)
def test_rows_are_what_pythons_json_reads(values: list[bytes | None]) -> None:
    decoded = decoder(ORDER).decode(BinaryColumn.of(values))
    decoded.array.validate(full=True)
    for row, value in enumerate(values):
        try:
            expected = None if value is None else read_by_python(value)
        except (ValueError, AttributeError):
            assert row in decoded.broken, value
        else:
            assert row not in decoded.broken, (value, decoded.broken[row])
            assert decoded.array[row].as_py() == expected


@pytest.mark.parametrize(
    ("kind", "line", "row"),
    [
        (pa.map_(pa.int32(), pa.string()), b'{"-5":"a"}', [(-5, "a")]),
        (pa.map_(pa.bool_(), pa.int8()), b'{"true":1}', [(True, 1)]),
        (pa.duration("us"), b'"-1.500000s"', timedelta(seconds=-1.5)),
        (pa.duration("s"), b'"2s"', timedelta(seconds=2)),
    ],
)
def test_keys_that_are_numbers_and_durations_have_texts(kind: pa.DataType, line: bytes, row: object) -> None:
    decoded = JsonValues(kind).decoder().decode(BinaryColumn.of([line, None]))
    assert decoded.array.to_pylist() == [row, None]
    assert list(JsonValues(kind).encode(decoded.array)) == [line, None]


@pytest.mark.parametrize("line", [b'"1"', b'"1.0000001s"', b'"s"', b'"99999999999999999999s"'])
def test_what_is_no_duration_is_broken(line: bytes) -> None:
    decoded = JsonValues(pa.duration("us")).decoder().decode(BinaryColumn.of([line]))
    assert decoded.broken.keys() == {0}
