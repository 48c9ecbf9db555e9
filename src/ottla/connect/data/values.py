"""Texts as values, with the schema that they seem to have, and values of one type as another (`Values`)."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

from ottla.connect.data.logical import (
    DATE,
    LOGICAL_TYPES,
    MILLIS_PER_DAY,
    TIME,
    TIMESTAMP,
    days_of_date,
    decimal_from_bytes,
    decimal_schema,
    decimal_to_bytes,
    millis_of_time,
    millis_of_timestamp,
    scale_of_value,
)
from ottla.connect.data.numbers import double_text, to_float32, to_integer, wrap
from ottla.connect.data.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    RANGES,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    SchemaAndValue,
    Struct,
    Type,
    Value,
)
from ottla.connect.data.schemas import BOOLEAN, BYTES, FLOAT32, FLOAT64, INT64, STRING, array_of, map_of
from ottla.connect.data.texts import printed, value_text
from ottla.connect.errors import DataError

__all__ = ["as_double", "as_long", "convert", "infer_schema", "parse_number", "parse_text"]

_BLANKS: Final = "".join(map(chr, range(33)))
_DELIMITERS: Final = frozenset(':,{}[]"')
_MAX_DEPTH: Final = 200
_INTEGERS: Final = (Type.INT8, Type.INT16, Type.INT32, Type.INT64)
_NUMBERS: Final = (*_INTEGERS, Type.FLOAT32, Type.FLOAT64)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,10})?", re.ASCII)
_TIME: Final = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{3})Z")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_text(text: str) -> SchemaAndValue:
    """What a header's text seems to be: a number in the smallest type that holds it, a boolean, null, a time,
    an array, a map; else a text. Raises DataError for arrays within arrays 200 deep.
    """
    if not text:
        return SchemaAndValue(STRING, text)
    parsed = _ValueParser(_Tokens(text)).parse(embedded=False, depth=0)
    return SchemaAndValue(None, None) if parsed is None else parsed


def parse_number(text: str) -> SchemaAndValue | None:
    """The number that a text is, in the smallest type that holds it; None for a text that is none."""
    number = _decimal(text)
    if number is None:
        return None
    whole = _whole(number)
    if whole is not None:
        kind = next(kind for kind in _INTEGERS if whole in RANGES[kind])
        return SchemaAndValue(Schema(kind), whole)
    if scale_of_value(number) != 0:
        if math.isfinite(single := to_float32(number)):
            return SchemaAndValue(FLOAT32, single)
        if math.isfinite(double := float(number)):
            return SchemaAndValue(FLOAT64, double)
    return SchemaAndValue(decimal_schema(scale_of_value(number)), number)


def _decimal(text: str) -> Decimal | None:
    if _DECIMAL.fullmatch(text) is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what there is
        return None
    return number if scale_of_value(number) in RANGES[Type.INT32] else None


def _whole(number: Decimal) -> int | None:
    """The number, if it has no fraction and fits into 64 bits."""
    if number and not -1 < number.adjusted() < 19:
        return None
    whole = int(number)
    return whole if whole == number and whole in RANGES[Type.INT64] else None


class _Tokens:
    """A text cut at delimiters that are not escaped."""

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self._position = 0
        self._next: str | None = None
        self.previous: str | None = None

    @property
    def position(self) -> int:
        return self._position

    def mark(self) -> int:
        return self._position - len(self._next or "")

    def rewind(self, position: int) -> None:
        self._position = position
        self._next = self.previous = None

    def has_next(self) -> bool:
        return self._next is not None or self._position < len(self.text)

    def next(self) -> str:
        token, self._next = (self._cut() if self._next is None else self._next), None
        self.previous = token
        return token

    def next_ones(self, count: int) -> str | None:
        """So many tokens as one text; None, and nothing is taken, where there are fewer."""
        start = self.mark()
        for _ in range(count):
            if not self.has_next():
                self.rewind(start)
                return None
            self.next()
        return self.text[start : self._position]

    def consume(self, expected: str) -> bool:
        """Take the next token that is not blank, if it is this one."""
        if self._next is None:
            if not self.has_next():
                return False
            self._next = self._cut()
        while not self._next.strip(_BLANKS) and self._position < len(self.text):
            self._next = self._cut()
        if self._next.strip(_BLANKS) != expected:
            return False
        self._next = None
        return True

    def _cut(self) -> str:
        start, text = self._position, self.text
        escaped = False
        for at in range(start, len(text)):
            if text[at] == "\\":
                escaped = not escaped
                continue
            if text[at] in _DELIMITERS and not escaped:
                self._position = at if at > start else at + 1
                return text[start : self._position]
            escaped = False
        self._position = len(text)
        return text[start:]


class _Common:
    """The schema that all of several values have, if there is one."""

    def __init__(self) -> None:
        self.schema: Schema | None = None
        self._compatible = True

    def add(self, latest: SchemaAndValue | None) -> None:
        if latest is None or latest.schema is None or not self._compatible:
            return
        self.schema = latest.schema if self.schema is None else _common(self.schema, latest.schema)
        self._compatible = self.schema is not None


def _common(one: Schema, other: Schema) -> Schema | None:
    if one.type is other.type:
        return other
    if one.type not in _NUMBERS or other.type not in _NUMBERS:
        return None
    return one if _NUMBERS.index(one.type) > _NUMBERS.index(other.type) else other


class _ValueParser:
    def __init__(self, tokens: _Tokens) -> None:
        self._tokens: Final = tokens

    def parse(self, *, embedded: bool, depth: int) -> SchemaAndValue | None:
        tokens = self._tokens
        if depth > _MAX_DEPTH:
            raise DataError(f"more than {_MAX_DEPTH} arrays and maps within one another")
        if not tokens.has_next():
            return None
        if embedded and tokens.consume('"'):
            return self._quoted()
        for literal, value in (("null", None), ("true", True), ("false", False)):
            if self._is_literal(literal, embedded=embedded):
                return None if value is None else SchemaAndValue(BOOLEAN, value)
        start = tokens.mark()
        try:
            if tokens.consume("["):
                return self._array(depth + 1)
            if tokens.consume("{"):
                return self._map(depth + 1)
        except DataError:
            if depth > _MAX_DEPTH // 2:
                raise
            tokens.rewind(start)
        token = tokens.next()
        stripped = token.strip(_BLANKS)
        return self._token(stripped, embedded=embedded) if stripped else SchemaAndValue(STRING, token)

    def _is_literal(self, literal: str, *, embedded: bool) -> bool:
        start = self._tokens.mark()
        if self._tokens.consume(literal) and (embedded or not self._tokens.has_next()):
            return True
        self._tokens.rewind(start)
        return False

    def _token(self, token: str, *, embedded: bool) -> SchemaAndValue:
        if token[0].isdigit():
            temporal = self._temporal(token)
            if temporal is not None:
                return temporal
        number = parse_number(token)
        if number is not None and token[0] != ".":
            return number
        if embedded:
            raise DataError("Failed to parse embedded value")
        return SchemaAndValue(STRING, self._tokens.text)

    def _temporal(self, token: str) -> SchemaAndValue | None:
        position = self._tokens.mark()
        rest = self._tokens.next_ones(4)  # colons are delimiters
        if rest is not None and (temporal := _temporal(token + rest)) is not None:
            return temporal
        self._tokens.rewind(position)
        return _temporal(token)

    def _quoted(self) -> SchemaAndValue:
        parts = []
        while self._tokens.has_next() and not self._tokens.consume('"'):
            parts.append(self._tokens.next())
        content = "".join(parts)
        return _temporal(content) or SchemaAndValue(STRING, content)

    def _array(self, depth: int) -> SchemaAndValue:
        tokens, result, common = self._tokens, list[Value](), _Common()
        while tokens.has_next():
            if tokens.consume("]"):
                element = common.schema
                if element is not None:
                    result = [convert(element, None, value) for value in result]
                return SchemaAndValue(array_of(element), result)
            if tokens.consume(","):
                raise DataError(f"Unable to parse an empty array element: {tokens.text}")
            parsed = self.parse(embedded=True, depth=depth)
            common.add(parsed)
            result.append(None if parsed is None else parsed.value)
            position = tokens.mark()
            if tokens.consume("]"):
                tokens.rewind(position)
            elif not tokens.consume(","):
                raise DataError("Array elements missing ',' delimiter")
        if tokens.previous == ",":
            raise DataError(f"Array is missing element after ',': {tokens.text}")
        raise DataError(f"Array is missing terminating ']': {tokens.text}")

    def _map(self, depth: int) -> SchemaAndValue:
        tokens, result, keys, values = self._tokens, dict[Value, Value](), _Common(), _Common()
        while tokens.has_next():
            if tokens.consume("}"):
                return _aligned_map(result, keys.schema, values.schema)
            if tokens.consume(","):
                raise DataError(f"Unable to parse a map entry with no key or value: {tokens.text}")
            key = self.parse(embedded=True, depth=depth)
            if key is None or key.value is None:
                raise DataError(f"Map entry may not have a null key: {tokens.text}")
            if not tokens.consume(":"):
                raise DataError(f"Map entry is missing ':' at {tokens.position} in {tokens.text}")
            value = self.parse(embedded=True, depth=depth)
            if isinstance(key.value, list | dict):
                raise DataError(f"a key of a map cannot be an array or a map: {tokens.text}")
            result[key.value] = None if value is None else value.value
            tokens.consume(",")
            keys.add(key)
            values.add(value)
        if tokens.previous == ",":
            raise DataError(f"Map is missing element after ',': {tokens.text}")
        raise DataError(f"Map is missing terminating '}}': {tokens.text}")


def _aligned_map(pairs: dict[Value, Value], key: Schema | None, value: Schema | None) -> SchemaAndValue:
    if key is None:
        return SchemaAndValue(map_of(None, None), pairs)
    aligned: dict[Value, Value] = {
        convert(key, None, name): inner if value is None else convert(value, None, inner)
        for name, inner in pairs.items()
    }
    return SchemaAndValue(map_of(key, value), aligned)


def _temporal(token: str) -> SchemaAndValue | None:
    token = token.replace("\\:", ":")
    try:
        if len(token) == 13 and (parts := _TIME.fullmatch(token)):
            hour, minute, second, millis = map(int, parts.groups())
            return SchemaAndValue(TIME, dt.time(hour, minute, second, millis * 1000))
        if len(token) == 10 and _DATE.fullmatch(token):
            return SchemaAndValue(DATE, dt.date.fromisoformat(token))
        if (
            len(token) == 24
            and token[10] == "T"
            and _DATE.fullmatch(token[:10])
            and _TIME.fullmatch(token[11:])
        ):
            return SchemaAndValue(TIMESTAMP, dt.datetime.fromisoformat(token))
    except ValueError:  # no such day, or hour
        return None
    return None


def convert(to: Schema, source: Schema | None, value: Value) -> Value:
    """`value`, of the schema `source` if that is known, as one of `to`. Raises DataError if it cannot be."""
    if value is None:
        if to.optional:
            return None
        raise DataError("Unable to convert a null value to a schema that requires a value")
    if to.name in LOGICAL_TYPES:
        return _to_logical(to, source, value)
    if to.type is Type.STRING:
        return value_text(source, value)
    if to.type is Type.BYTES:
        if isinstance(value, Decimal):
            return decimal_to_bytes(to, value)
        return value if isinstance(value, bytes) else _cannot(value, to, source)
    if to.type is Type.BOOLEAN:
        return _to_boolean(source, value)
    if to.type in _INTEGERS:
        return value if _is_integer(value, to.type) else wrap(as_long(value, source), to.type)
    if to.type is Type.FLOAT32 or to.type is Type.FLOAT64:
        number = as_double(value, source)
        return to_float32(number) if to.type is Type.FLOAT32 else number
    return _to_container(to, source, value)


def _to_container(to: Schema, source: Schema | None, value: Value) -> Value:
    if to.type is Type.STRUCT:
        return value if isinstance(value, Struct) else _cannot(value, to)
    if isinstance(value, str):
        source, value = parse_text(value)
    expected = list if to.type is Type.ARRAY else dict
    return value if isinstance(value, expected) else _cannot(value, to, source)


def _cannot(value: Value, to: Schema | str, source: Schema | None = None) -> NoReturn:
    raise DataError(f"Unable to convert {printed(source, value)} ({type(value).__name__}) to {to}")


def _is_integer(value: Value, kind: Type) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in RANGES[kind]


def _to_boolean(source: Schema | None, value: Value) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and isinstance(parsed := parse_text(value).value, bool):
        return parsed
    return as_long(value, source) != 0


def _to_logical(to: Schema, source: Schema | None, value: Value) -> Value:
    if to.name == DECIMAL_NAME:
        return _to_decimal(to, value)
    if isinstance(value, str):
        value = parse_text(value).value
    millis = _millis(value)
    if millis is None or (to.name == TIMESTAMP_NAME and isinstance(value, dt.datetime)):
        number = as_long(value, source) if millis is None else millis
    elif to.name == DATE_NAME:
        number = as_long(value, source) if isinstance(value, dt.time) else millis // MILLIS_PER_DAY
    elif to.name == TIME_NAME:
        is_date = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
        number = as_long(value, source) if is_date else millis % MILLIS_PER_DAY
    else:
        number = millis
    kind = Type.INT64 if to.name == TIMESTAMP_NAME else Type.INT32
    return LOGICAL_TYPES[to.name or ""].from_base(to, wrap(number, kind))


def _millis(value: Value) -> int | None:
    if isinstance(value, dt.datetime):
        return millis_of_timestamp(value)
    if isinstance(value, dt.date):
        return days_of_date(value) * MILLIS_PER_DAY
    return millis_of_time(value) if isinstance(value, dt.time) else None


def _to_decimal(to: Schema, value: Value) -> Decimal:
    if isinstance(value, bytes):
        return decimal_from_bytes(to, value)
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(double_text(float(value)))
    number = _decimal(value) if isinstance(value, str) else None
    return _cannot(value, to) if number is None else number


def as_long(value: Value, source: Schema | None) -> int:
    """A number without its fraction, a text's number, a time's integer, in 64 bits. Raises DataError."""
    number = _decimal(value) if isinstance(value, str) else value
    if isinstance(number, int | float | Decimal) and not isinstance(number, bool):
        return to_integer(Decimal(number) if isinstance(number, int) else number, Type.INT64)
    if source is not None:
        logical = LOGICAL_TYPES.get(source.name or "")
        if logical is not None and isinstance(value, dt.date | dt.time):
            base = logical.to_base(source, value)
            if isinstance(base, int):
                return base
        _cannot(value, source, source)
    _cannot(value, "a number")


def as_double(value: Value, source: Schema | None) -> float:
    """A number, or a text's or a time's, as a float. Raises DataError."""
    number = _decimal(value) if isinstance(value, str) else value
    if isinstance(number, int | float | Decimal) and not isinstance(number, bool):
        return float(number)
    return float(as_long(value, source))


_SCHEMAS: Final[dict[type, Schema]] = {str: STRING, bool: BOOLEAN, int: INT64, float: FLOAT64, bytes: BYTES}


def infer_schema(value: Value) -> Schema | None:
    """The schema that a value would have: of lists and dicts if all in them are of one type, else None."""
    if isinstance(value, Struct):
        return value.schema
    if isinstance(value, list):
        element = _infer_all(value)
        return None if element is None else array_of(element)
    if isinstance(value, dict):
        keys, values = _infer_all(list(value)), _infer_all(list(value.values()))
        return None if keys is None or values is None else map_of(keys, values)
    return _SCHEMAS.get(type(value))


def _infer_all(values: list[Value]) -> Schema | None:
    found: Schema | None = None
    for value in values:
        if value is None:
            continue
        schema = infer_schema(value)
        if schema is None or (found is not None and found.type is not schema.type):
            return None
        found = found or schema
    if found is None:
        return None
    return found.replace(optional=True) if None in values else found
