"""JSON: a line for each record, with all of it.

Bytes that are not UTF-8 survive as lone surrogates (Python's surrogateescape), so that one command reads back
what the other printed; other programs are better served with base64.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

from ottla.cli.arguments import MAX_INT32, MAX_INT64
from ottla.cli.formats.interface import NOW, Defaults, Encoder, Gathered, Pairs, Parsed, Rows, each_of
from ottla.cli.formats.lines import Blocks
from ottla.cli.output import encode
from ottla.client.columns.columns import Columns

_LINE_OVERHEAD: Final = 64 * 1024  # for what is no content
_quoted: Callable[[str], str] = json.encoder.encode_basestring_ascii


class JsonEncoder(Encoder):
    """Keys or values that are `decoded` are JSON already."""

    def __init__(self, *, use_base64: bool = False, decoded: Collection[str] = ()) -> None:
        self._use_base64 = use_base64
        self._key = _as_json if "key" in decoded else to_json
        self._value = _as_json if "value" in decoded else to_json

    def rows(self, topic: str, rows: Columns) -> bytes:
        use_base64, key_of, value_of = self._use_base64, self._key, self._value
        start = '{"topic": ' + _quoted(topic) + ', "partition": '
        lines = [
            f'{start}{partition}, "offset": {offset}, '
            f'"timestamp": {"null" if timestamp == NOW else timestamp}, '
            f'"key": {key_of(key, use_base64)}, "value": {value_of(value, use_base64)}, '
            f'"headers": {headers_to_json(pairs, use_base64) if pairs else "[]"}}}\n'
            for partition, offset, timestamp, key, value, pairs in each_of(rows)
        ]
        return "".join(lines).encode()


def _as_json(data: bytes | None, _: bool) -> str:
    return "null" if data is None else data.decode()


def headers_to_json(pairs: Pairs, use_base64: bool = False) -> str:
    """A list of [name, value]."""
    return (
        "["
        + ", ".join([f"[{to_json(name, False)}, {to_json(value, use_base64)}]" for name, value in pairs])
        + "]"
    )


def to_json(data: bytes | None, use_base64: bool) -> str:
    """Bytes as a string of JSON: surrogates must leave as \\uXXXX escapes, for they have no UTF-8."""
    text = encode(data, use_base64)
    return "null" if text is None else _quoted(text)


class JsonDecoder:
    """Blank lines are left out."""

    def __init__(self, defaults: Defaults, *, use_base64: bool = False) -> None:
        # JSON escapes a byte as six characters; the least header has two bytes, and twelve characters.
        self._blocks = Blocks(6 * defaults.record_max_bytes + _LINE_OVERHEAD)
        self._gathered = Gathered(defaults)
        self._use_base64 = use_base64

    def feed(self, data: bytes) -> Iterator[Rows]:
        return self._rows(self._blocks.feed(data))

    def end(self) -> Iterator[Rows]:
        return self._rows(self._blocks.end())

    def _rows(self, block: bytes | memoryview | None) -> Iterator[Rows]:
        lines = () if block is None else self._blocks.lines(block)
        return self._gathered.of(lines, self._parsed)

    def _parsed(self, line: bytes) -> Parsed | None:
        return from_json(line, use_base64=self._use_base64) if line.strip() else None


def from_json(line: bytes, *, use_base64: bool = False) -> Parsed:
    """The record in a line of JSON; ValueError says what is wrong with it.

    A key or value that is no string stands for its JSON, which goes out as it was written: `1.00` stays so.
    """
    text, record = _parse(line)
    numbers = {
        name: _integer(record[name], name, highest)
        for name, highest in _NUMBERS.items()
        if record.get(name) is not None
    }
    return Parsed(
        _content(text, record.get("key"), "key", ("key",), use_base64),
        _content(text, record.get("value"), "value", ("value",), use_base64),
        _headers(text, headers, ("headers",), use_base64) if (headers := record.get("headers")) else None,
        **numbers,
    )


def headers_from_json(line: bytes) -> Pairs:
    """What `headers_to_json` made, or an object; ValueError."""
    text, headers = _decoded(line)
    return _headers(text, headers, (), False)


def _headers(text: str, headers: Any, path: tuple[str | int, ...], use_base64: bool) -> Pairs:
    return tuple(
        (
            _from_text(name, f"header name {name!a}"),
            _content(text, value, f"header {name!r}", (*path, *place), use_base64),
        )
        for name, value, place in _header_values(headers)
    )


def _content(text: str, value: Any, what: str, path: tuple[str | int, ...], use_base64: bool) -> bytes | None:
    if value is None:
        return None
    if type(value) is str:
        return _from_base64(value, what) if use_base64 else _from_text(value, what)
    if use_base64:
        raise ValueError(f"{what} is no base64 string")
    return _written(text, path).encode()


class Number(str):
    """A JSON number as it was written; strings are of type `str` itself."""

    __slots__ = ()


def _parse(line: bytes) -> tuple[str, dict[str, Any]]:
    """The text of a line and its members, numbers as Number."""
    text, record = _decoded(line)
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    return text, record


def _decoded(line: bytes) -> tuple[str, Any]:
    try:
        text = line.decode().removeprefix(_BYTE_ORDER_MARK)
        return text, _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON ({error.msg} at character {error.pos + 1})") from error
    except UnicodeDecodeError as error:
        raise ValueError("no JSON (it is not UTF-8)") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"no JSON ({name} is no number there)")


_BYTE_ORDER_MARK: Final = "\ufeff"
_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant
)
_SPACE = re.compile(r"[ \t\n\r]*")

_NUMBERS: Final = {"partition": MAX_INT32, "timestamp": MAX_INT64}


def _integer(value: Any, name: str, highest: int) -> int:
    if isinstance(value, Number) and re.fullmatch("[0-9]{1,19}", value) and int(value) <= highest:
        return int(value)
    raise ValueError(f"{name} is no number from 0 to {highest}")


def _from_text(text: str, what: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} has a lone surrogate that stands for no byte") from error


def _from_base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"{what} is no base64 ({error})") from error


def _header_values(headers: Any) -> Iterator[tuple[str, Any, tuple[str | int, ...]]]:
    """Names, values, and where in the headers a value is."""
    places: Iterable[tuple[Any, tuple[str | int, ...]]]
    if isinstance(headers, dict):
        places = ((member, (member[0],)) for member in headers.items())
    elif isinstance(headers, list):
        places = ((pair, (position, 1)) for position, pair in enumerate(headers))
    else:
        raise ValueError("headers are neither an object nor a list of pairs")
    for pair, path in places:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or type(pair[0]) is not str:
            raise ValueError("a header is no pair of a name and a value")
        yield *pair, path


def _written(text: str, path: Iterable[str | int]) -> str:
    """The text of a value in valid JSON, found by the names of members and the positions in arrays."""
    for step in path:
        text = next(part for place, part in _parts(text) if place == step)
    return text


def _parts(text: str) -> Iterator[tuple[str | int, str]]:
    """The members of an object by name, or the elements of an array by position, as they were written."""
    at = _past_space(text, 0)
    is_object = text[at] == "{"
    at = _past_space(text, at + 1)
    for position in itertools.count():
        place: str | int = position
        if is_object:
            place, at = _DECODER.raw_decode(text, at)
            at = _past_space(text, _past_space(text, at) + 1)  # the colon, and what is around it
        _, end = _DECODER.raw_decode(text, at)
        yield place, text[at:end]
        at = _past_space(text, _past_space(text, end) + 1)  # the comma


def _past_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    assert found is not None
    return found.end()
