"""Records as columns for tests, made from an array of structs; and expressions of any type over them."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from ottla.streams.expressions.arrow_types import from_arrow
from ottla.streams.expressions.functions import call, col, lit, timestamp, when
from ottla.streams.expressions.inference import Schema
from ottla.streams.expressions.nodes import Expression
from ottla.streams.records import Record

STRUCT = pa.struct(
    [
        ("i", pa.int64()),
        ("j", pa.int16()),
        ("u", pa.uint64()),
        ("d", pa.float64()),
        ("f", pa.float32()),
        ("m", pa.decimal128(10, 2)),
        ("n", pa.decimal128(38, 6)),
        ("s", pa.string()),
        ("t", pa.large_string()),
        ("w", pa.dictionary(pa.int32(), pa.string())),
        ("b", pa.binary()),
        ("p", pa.bool_()),
        ("q", pa.bool_()),
        ("at", pa.timestamp("ms", "UTC")),
        ("then", pa.timestamp("us", "Europe/Berlin")),
        ("local", pa.timestamp("s")),
        ("date", pa.date32()),
        ("time", pa.time32("ms")),
        ("took", pa.duration("ms")),
        ("list", pa.list_(pa.int64())),
        ("in", pa.struct([("x", pa.int64()), ("y", pa.string()), ("z", pa.struct([("k", pa.bool_())]))])),
    ]
)
SCHEMA = Schema(value=from_arrow(STRUCT))


class ArrowRows:
    """`Rows` over one array of structs, with the times that records have."""

    def __init__(self, values: pa.Array, timestamps: list[int]) -> None:
        self._values = values
        self._timestamps = timestamps

    def __len__(self) -> int:
        return len(self._values)

    def field(self, part: str, path: tuple[str, ...]) -> pa.Array:
        assert part == "value"
        return pc.struct_field(self._values, list(path)) if path else self._values

    def metadata(self, name: str) -> pa.Array:
        assert name == "timestamp"
        known = [each if each >= 0 else None for each in self._timestamps]
        return pa.array(known, pa.timestamp("ms", "UTC"))

    def header(self, name: str) -> pa.Array:
        return pa.nulls(len(self), pa.binary())

    def records(self) -> list[Record[None, Any]]:
        rows = zip(self._values.to_pylist(), self._timestamps, strict=True)
        return [Record(None, value, at) for value, at in rows]


_TEXT = st.text(st.sampled_from(string.ascii_letters + " %_.1-2ßÀİ\n"), max_size=6) | st.sampled_from(
    ["12", "-7", "+3", "1.50", "1e3", "true", "NaN", "9223372036854775808", "2024-02-29", "12:30:00", "a"]
)
_INTEGERS = st.integers(-3, 3) | st.integers(-(1 << 63), (1 << 63) - 1)
_TIMES = st.datetimes(datetime(1960, 1, 1), datetime(2040, 1, 1))
_DOUBLES = st.floats(-4, 4) | st.floats() | st.sampled_from([0.0, -0.0, 1e300, 2.0**63, float(2**53)])


def _decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda n: Decimal(f"{n}E-{scale}"))


_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "i": _INTEGERS,
    "j": st.integers(-(1 << 15), (1 << 15) - 1),
    "u": st.integers(0, 3) | st.integers(0, (1 << 64) - 1),
    "d": _DOUBLES,
    "f": st.floats(width=32),
    "m": _decimals(10, 2),
    "n": _decimals(9, 6) | _decimals(38, 6),
    "s": _TEXT,
    "t": _TEXT,
    "w": _TEXT,
    "b": st.binary(max_size=4),
    "p": st.booleans(),
    "q": st.booleans(),
    "at": _TIMES.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000, tzinfo=UTC)),
    "then": _TIMES.map(lambda t: t.replace(tzinfo=UTC)),
    "local": _TIMES.map(lambda t: t.replace(microsecond=0)),
    "date": st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    "time": st.times().map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)),
    "took": st.integers(-(10**9), 10**9).map(lambda ms: timedelta(milliseconds=ms)),
    "list": st.lists(st.none() | _INTEGERS, max_size=3),
    "in": st.fixed_dictionaries(
        {},
        optional={
            "x": st.none() | _INTEGERS,
            "y": st.none() | _TEXT,
            "z": st.none() | st.fixed_dictionaries({}, optional={"k": st.none() | st.booleans()}),
        },
    ),
}

_VALUES = st.fixed_dictionaries({}, optional={name: st.none() | each for name, each in _FIELDS.items()})

ROWS = st.lists(st.tuples(st.none() | _VALUES, st.integers(-1, 10**12)), min_size=1, max_size=8).map(
    lambda rows: ArrowRows(pa.array([value for value, _ in rows], STRUCT), [at for _, at in rows])
)

_COLUMNS: dict[str, list[Expression]] = {
    "integer": [col("i"), col("j"), col("u"), col("in.x")],
    "double": [col("d"), col("f")],
    "decimal": [col("m"), col("n")],
    "text": [col("s"), col("t"), col("w"), col("in.y")],
    "bytes": [col("b")],
    "boolean": [col("p"), col("q"), col("in.z.k")],
    "timestamp": [col("at"), col("then"), timestamp()],
    "local timestamp": [col("local")],
    "date": [col("date")],
    "time": [col("time")],
    "duration": [col("took")],
    "list": [col("list")],
}
_LITERALS: dict[str, st.SearchStrategy[Any]] = {
    "integer": _INTEGERS,
    "double": _DOUBLES,
    "decimal": _decimals(5, 2),
    "text": _TEXT,
    "bytes": st.binary(max_size=2),
    "boolean": st.booleans(),
    "timestamp": _TIMES.map(lambda t: t.replace(tzinfo=UTC)),
    "local timestamp": _TIMES,
    "date": _FIELDS["date"],
    "time": st.times(),
    "duration": _FIELDS["took"],
}
_NUMBERS = ("integer", "double", "decimal")
_CONSTANTS: dict[str, st.SearchStrategy[Any]] = {
    "zone": st.sampled_from(["UTC", "UTC", "Europe/Berlin"]),
    "unit": st.sampled_from(["second", "minute", "hour", "day", "week", "month", "year"]),
    "regex": st.sampled_from(["a", "^a.", "(b)(c)?", "[0-9]+", ".", "$"]),
    "pattern": st.text(st.sampled_from("a%_.1\\"), max_size=4).map(lambda each: each.replace("\\", "\\_")),
    "escape": st.just("\\"),
    "digits": st.integers(-2, 4),
    "group": st.just(0),
    "small": st.integers(-1, 5),
    "length": st.integers(0, 4),
}
_ANY_TYPE = list(_LITERALS)

# What is made by which function from what: a type, "number", "same" (of the first) or a constant.
_FUNCTIONS: dict[str, list[tuple[str, ...]]] = {
    "integer": [
        *(
            ("add", "integer", "integer"),
            ("subtract", "integer", "integer"),
            ("multiply", "integer", "integer"),
        ),
        *(("floor_divide", "integer", "integer"), ("modulo", "integer", "integer"), ("negate", "integer")),
        *(
            ("abs", "integer"),
            ("floor", "integer"),
            ("length", "text"),
            ("length", "bytes"),
            ("length", "list"),
        ),
        *((name, "timestamp", "zone") for name in ("year", "month", "day", "hour", "minute", "second")),
        *(("weekday", "timestamp", "zone"), ("weekday", "local timestamp", "zone"), ("year", "date", "zone")),
        *(("weekday", "date", "zone"), ("hour", "time", "zone"), ("second", "time", "zone")),
        *(("epoch_ms", "timestamp"), ("item", "list", "small"), ("round", "integer", "digits")),
    ],
    "double": [
        *((name, "double", "number") for name in ("add", "subtract", "multiply", "modulo")),
        *((name, "number", "double") for name in ("add", "subtract", "multiply")),
        *(("divide", "number", "number"), ("negate", "double"), ("abs", "double"), ("floor", "double")),
        *(("ceil", "double"), ("sqrt", "number"), ("round", "double", "digits")),
    ],
    "decimal": [
        *(
            ("add", "decimal", "decimal"),
            ("subtract", "decimal", "integer"),
            ("multiply", "decimal", "decimal"),
        ),
        *(("negate", "decimal"), ("abs", "decimal"), ("floor", "decimal"), ("ceil", "decimal")),
        ("round", "decimal", "digits"),
    ],
    "text": [
        *(("lower", "text"), ("upper", "text"), ("trim", "text", "text"), ("trim_start", "text", "text")),
        *(
            ("trim_end", "text", "text"),
            ("substring", "text", "small"),
            ("substring", "text", "small", "length"),
        ),
        *(
            ("substring", "text", "integer"),
            ("replace", "text", "text", "text"),
            ("concat", "text", "text", "text"),
        ),
        *(
            ("extract", "text", "regex", "group"),
            ("split_part", "text", "text", "small"),
            ("add", "text", "text"),
        ),
    ],
    "boolean": [
        *((name, "any", "same") for name in ("equal", "not_equal", "less", "less_equal", "greater")),
        *((name, "number", "number") for name in ("equal", "less", "greater_equal", "is_distinct")),
        *(
            ("and", "boolean", "boolean"),
            ("or", "boolean", "boolean"),
            ("not", "boolean"),
            ("is_null", "any"),
        ),
        *(
            ("in", "any", "same", "same", "same"),
            ("in", "number", "number", "number"),
            ("is_distinct", "any", "same"),
        ),
        *(("starts_with", "text", "text"), ("ends_with", "text", "text"), ("contains", "text", "text")),
        *(("matches", "text", "regex"), ("like", "text", "pattern", "escape"), ("is_nan", "number")),
    ],
    "bytes": [],
    "timestamp": [
        *(
            ("add", "timestamp", "duration"),
            ("subtract", "timestamp", "duration"),
            ("as_timestamp", "integer"),
        ),
        ("truncate", "timestamp", "unit", "zone"),
    ],
    "local timestamp": [
        ("add", "local timestamp", "duration"),
        ("truncate", "local timestamp", "unit", "zone"),
    ],
    "date": [],
    "time": [],
    "duration": [
        *(("subtract", "timestamp", "timestamp"), ("add", "duration", "duration"), ("negate", "duration")),
        ("subtract", "local timestamp", "local timestamp"),
    ],
    "list": [],
}
_CASTS = {
    "integer": ("boolean", "double", "decimal", "text"),
    "double": ("integer", "decimal", "text"),
    "decimal": ("integer", "double", "text"),
    "text": (
        "boolean",
        "integer",
        "double",
        "decimal",
        "bytes",
        "timestamp",
        "local timestamp",
        "date",
        "time",
    ),
    "boolean": ("text", "integer"),
    "bytes": ("text",),
    "timestamp": ("text",),
    "date": ("text", "timestamp"),
}


@st.composite
def expressions(draw: st.DrawFn, kind: str | None = None, depth: int = 3) -> Expression:
    """An expression over `STRUCT`, of a type."""
    kind = kind or draw(st.sampled_from(_ANY_TYPE))
    if kind == "list":
        return draw(st.sampled_from(_COLUMNS["list"]))
    shape = draw(st.integers(0, 9)) if depth else draw(st.integers(0, 1))
    if shape == 0:
        return lit(draw(_LITERALS[kind]))
    if shape == 1:
        return draw(st.sampled_from(_COLUMNS[kind]))
    if shape == 2:
        condition = draw(expressions("boolean", depth - 1))
        branch = when(condition, draw(expressions(kind, depth - 1)))
        return branch.otherwise(draw(expressions(kind, depth - 1))) if draw(st.booleans()) else branch
    if shape == 3:
        return draw(expressions(kind, depth - 1)).coalesce(draw(expressions(kind, depth - 1)))
    if shape == 4:
        return call("null_if", draw(expressions(kind, depth - 1)), draw(expressions(kind, depth - 1)))
    if shape == 5 and kind in _CASTS:
        operand = draw(expressions(draw(st.sampled_from(_CASTS[kind])), depth - 1))
        wanted = "decimal(12, 3)" if kind == "decimal" else kind
        return operand.try_cast(wanted) if draw(st.booleans()) else operand.cast(wanted)
    if not _FUNCTIONS[kind]:
        return draw(st.sampled_from(_COLUMNS[kind]))
    name, *wanted_kinds = draw(st.sampled_from(_FUNCTIONS[kind]))
    first = ""
    arguments: list[object] = []
    for each in wanted_kinds:
        if each in _CONSTANTS:
            arguments.append(draw(_CONSTANTS[each]))
            continue
        if each == "any":
            each = draw(st.sampled_from(_ANY_TYPE))
        elif each == "number":
            each = draw(st.sampled_from(_NUMBERS))
        elif each == "same":
            each = first
        first = first or each
        arguments.append(draw(expressions(each, depth - 1)))
    return call(name, *arguments)
