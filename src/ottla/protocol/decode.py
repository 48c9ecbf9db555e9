"""Compile a `Layout` to a function that decodes it into typed messages.

Every length is checked against the bytes that are left before anything is allocated for it, so memory is
bounded by a multiple of the buffer's size, whatever the buffer says. The elements of all arrays together can
be bounded as well: time, here and where they are handled, goes by their number.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Mapping
from typing import Any, Final, Protocol
from uuid import UUID

from ottla.protocol.codegen import Source
from ottla.protocol.errors import DecodeError
from ottla.protocol.layout import FIXED_FORMATS, FieldLayout, Layout
from ottla.protocol.reading import MAX_TAGGED_FIELDS
from ottla.protocol.varint import decode_uvarint

Buffer = bytes | memoryview

NO_LIMIT: Final = 1 << 62
_ZERO_UUID: Final = bytes(16)
_NONSENSE: Final = (binary.error, IndexError, UnicodeDecodeError, OverflowError)


class Decoder(Protocol):
    """What is compiled."""

    def __call__(self, buffer: Buffer, offset: int, max_elements: int = NO_LIMIT, /) -> tuple[Any, int]:
        """The message at `offset`, and the offset behind it. Raises DecodeError, also for arrays of more than
        `max_elements` elements in all.
        """


class _TooManyElementsError(Exception):
    """The arrays of a message have more than they may."""


def compile_decoder(struct: Layout) -> Decoder:
    """Decodes into instances of the layout's class, which are made without calling it. Arrays become tuples,
    the zero UUID None.
    """
    source = Source()
    source.namespace |= {
        "DecodeError": DecodeError,
        "TooManyElements": _TooManyElementsError,
        "uvarint": decode_uvarint,
        "unpack_from": binary.unpack_from,
        "uuid": _uuid,
        "new": object.__new__,
    }
    decode = source.compile(_StructReader(source).write(struct), f"decoder of {struct.name}")

    def decode_checked(buffer: Buffer, offset: int, max_elements: int = NO_LIMIT, /) -> tuple[Any, int]:
        try:
            return decode(buffer, offset, len(buffer), [max_elements])  # type: ignore[no-any-return]
        except _TooManyElementsError:
            raise DecodeError(f"{struct.name}: more than {max_elements} elements") from None
        except _NONSENSE as error:
            raise DecodeError(f"{struct.name}: {error}") from error

    return decode_checked


def _uuid(encoded: bytes) -> UUID | None:
    return None if encoded == _ZERO_UUID else UUID(bytes=encoded)


def smallest_size(struct: Layout) -> int:
    """The least number of bytes that a struct can take; at least 1, as a bound on counts."""
    return max(1, sum(_smallest(each, struct.flexible) for each in struct.positional) + struct.flexible)


def _smallest(each: FieldLayout, flexible: bool) -> int:
    if each.array or each.type in ("string", "bytes", "records"):
        if flexible:
            return 1
        return 2 if each.type == "string" and not each.array else 4
    if each.struct is not None:
        return 1 if each.nullable else smallest_size(each.struct)
    return binary.calcsize(FIXED_FORMATS[each.type])


_TAKEN: Final[Mapping[str, str]] = {
    "string": "str(b[p:q], 'utf-8')",
    "bytes": "bytes(b[p:q])",
    "records": "b[p:q]",  # may be most of the message: a part of the buffer, if that is a memoryview
}


class _StructReader:
    """Writes the functions of a struct and of all structs inside it.

    In the source, `b` is the buffer, `p` the position, `e` the end, `left[0]` how many elements arrays may
    still have; `v0`, `v1`, ... are the values.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._functions = 0

    def write(self, struct: Layout) -> str:
        """Add the function for `struct`; give its name."""
        nested = {each.name: self.write(each.struct) for each in struct.fields if each.struct is not None}
        name = f"decode_{self._functions}"
        self._functions += 1
        self._source.add(0, f"def {name}(b, p, e, left):")
        numbers = {each.name: number for number, each in enumerate(struct.fields)}
        run: list[FieldLayout] = []
        for each in struct.positional:
            if each.type in FIXED_FORMATS and not each.array:
                run.append(each)
                continue
            self._fixed(run, numbers)
            run = []
            self._variable(1, each, numbers[each.name], struct.flexible, nested.get(each.name))
        self._fixed(run, numbers)
        if struct.flexible:
            self._tagged(struct, numbers, nested)
        self._build(struct, numbers)
        return name

    def _build(self, struct: Layout, numbers: Mapping[str, int]) -> None:
        """The object, made without calling its class; what the version lacks has its default."""
        assert struct.class_ is not None
        self._source.add(1, f"made = new({self._source.constant('class', struct.class_)})")
        for name, spec in struct.class_.__fields__.items():
            number = numbers.get(name)
            absent = None if number is not None else self._source.constant("absent", spec.default)
            self._source.add(1, f"made.{name} = {absent or f'v{number}'}")
        self._source.add(1, "return made, p")

    def _fixed(self, fields: list[FieldLayout], numbers: Mapping[str, int], depth: int = 1) -> None:
        """Neighbouring fields of fixed size in one unpacking, which checks that they are there."""
        if not fields:
            return
        layout = binary.Struct(">" + "".join(FIXED_FORMATS[each.type] for each in fields))
        unpack = self._source.constant("unpack", layout.unpack_from)
        values = "".join(f"v{numbers[each.name]}, " for each in fields)
        self._source.add(depth, f"{values}= {unpack}(b, p)", f"p += {layout.size}")
        self._source.add(
            depth,
            *(
                f"v{numbers[each.name]} = uuid(v{numbers[each.name]})"
                for each in fields
                if each.type == "uuid"
            ),
        )

    def _variable(
        self, depth: int, each: FieldLayout, number: int, flexible: bool, nested: str | None
    ) -> None:
        if each.array:
            self._array(depth, each, f"v{number}", flexible, nested)
        elif each.type == "struct" and each.nullable:
            self._source.add(depth, "null = b[p] > 127", "p += 1", f"v{number} = None", "if not null:")
            self._source.add(depth + 1, f"v{number}, p = {nested}(b, p, e, left)")
        elif each.type == "struct":
            self._source.add(depth, f"v{number}, p = {nested}(b, p, e, left)")
        else:
            self._data(depth, each.type, each.name, f"v{number}", flexible, nullable=each.nullable)

    def _length(self, depth: int, format_: str, flexible: bool) -> None:
        """Set `n`, negative for null."""
        add = self._source.add
        if flexible:
            add(depth, "n = b[p]", "p += 1", "if n > 127:")
            add(depth + 1, "n, p = uvarint(b, p - 1)")
            add(depth, "n -= 1")
        else:
            layout = binary.Struct(">" + format_)
            add(
                depth,
                f"n, = {self._source.constant('unpack', layout.unpack_from)}(b, p)",
                f"p += {layout.size}",
            )

    def _null(self, depth: int, name: str, value: str, *, nullable: bool) -> None:
        """Open the `if` around a null length; the caller adds its `else`."""
        self._source.add(depth, "if n < 0:")
        if nullable:
            self._source.add(depth + 1, "if n < -1:")
            self._source.add(depth + 2, f"raise DecodeError('{name}: negative length')")
            self._source.add(depth + 1, f"{value} = None")
        else:
            self._source.add(depth + 1, f"raise DecodeError('{name}: no length where there must be one')")

    def _data(self, depth: int, type_: str, name: str, value: str, flexible: bool, *, nullable: bool) -> None:
        """A string or bytes."""
        add = self._source.add
        self._length(depth, "h" if type_ == "string" else "i", flexible)
        self._null(depth, name, value, nullable=nullable)
        add(depth, "else:")
        add(depth + 1, "q = p + n", "if q > e:")
        add(depth + 2, f"raise DecodeError('{name}: longer than the message')")
        add(
            depth + 1,
            f"{value} = {_TAKEN[type_]}",
            "p = q",
        )

    def _array(self, depth: int, each: FieldLayout, value: str, flexible: bool, nested: str | None) -> None:
        add = self._source.add
        element = FieldLayout(each.name, each.type, struct=each.struct)
        self._length(depth, "i", flexible)
        self._null(depth, each.name, value, nullable=each.nullable)
        add(depth, f"elif n > (e - p) // {max(1, _smallest(element, flexible))}:")
        add(depth + 1, f"raise DecodeError('{each.name}: more elements than the message has room for')")
        add(depth, "else:")
        depth += 1
        add(depth, "left[0] -= n", "if left[0] < 0:")
        add(depth + 1, "raise TooManyElements")
        if each.type in FIXED_FORMATS and each.type != "uuid":
            format_ = FIXED_FORMATS[each.type]
            add(
                depth,
                f"values = unpack_from(f'>{{n}}{format_}', b, p)",
                f"p += n * {binary.calcsize(format_)}",
            )
            add(depth, f"{value} = values")
            return
        add(depth, "values = []", "append = values.append", "for _ in range(n):")
        if each.type == "struct":
            add(depth + 1, f"element, p = {nested}(b, p, e, left)")
        elif each.type == "uuid":
            add(depth + 1, "element = uuid(bytes(b[p:p + 16]))", "p += 16")
        else:
            self._data(depth + 1, each.type, each.name, "element", flexible, nullable=False)
        add(depth + 1, "append(element)")
        add(depth, f"{value} = tuple(values)")

    def _tagged(self, struct: Layout, numbers: Mapping[str, int], nested: Mapping[str, str]) -> None:
        """The tagged fields: those that are known are read, others skipped, absent ones get their default."""
        add = self._source.add
        for each in struct.tagged:
            default = self._source.constant("default", each.default)
            add(1, f"v{numbers[each.name]} = {default}")
        add(1, "n = b[p]", "p += 1", "if n:")
        add(2, "count, p = uvarint(b, p - 1)", f"if count > {MAX_TAGGED_FIELDS}:")
        add(3, f"raise DecodeError('more than {MAX_TAGGED_FIELDS} tagged fields in one struct')")
        add(2, "for _ in range(count):")
        add(3, "tag, p = uvarint(b, p)", "size, p = uvarint(b, p)", "after = p + size", "if after > e:")
        add(4, "raise DecodeError('a tagged field longer than the message')")
        for position, each in enumerate(struct.tagged):
            add(3, f"{'elif' if position else 'if'} tag == {each.tag}:")
            if each.type in FIXED_FORMATS and not each.array:
                self._fixed([each], numbers, 4)
            else:
                self._variable(4, each, numbers[each.name], True, nested.get(each.name))
            add(4, "if p != after:")
            add(5, f"raise DecodeError('{each.name}: not of the size that its tag says')")
        add(3, "p = after")
