"""Compile a `Layout` to a function that encodes typed messages.

Encoding in a loop over field descriptions costs several microseconds per struct; here each struct becomes one
Python function in which neighbouring fields of fixed size, and the lengths between them, share one
`struct.pack`.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Callable, Iterable
from typing import Any, Final

from ottla.protocol.codegen import Source
from ottla.protocol.errors import EncodeError
from ottla.protocol.layout import FIXED_FORMATS, FieldLayout, Layout
from ottla.protocol.varint import UVARINT, encode_uvarint

Encoder = Callable[[Any], bytes]

_ZERO_UUID: Final = bytes(16)
_UNFIT: Final = (binary.error, TypeError, AttributeError, ValueError, OverflowError)


def compile_encoder(struct: Layout) -> Encoder:
    """A function from an instance of the layout's class to the bytes of `struct`.

    A value that does not fit raises EncodeError. Null is written as empty where only other versions have it.
    Fields of type `records` take a buffer or a sequence of buffers.
    """
    source = Source()
    source.namespace |= {
        "UV": UVARINT,
        "join": b"".join,
        "ZERO_UUID": _ZERO_UUID,
        "flat": _flat,
    }
    encode: Encoder = source.compile(_StructWriter(source).write(struct), f"encoder of {struct.name}")

    def encode_checked(message: Any) -> bytes:
        try:
            return encode(message)
        except _UNFIT as error:
            raise EncodeError(f"{struct.name}: {type(error).__name__}: {error}") from error

    return encode_checked


def _empty(each: FieldLayout) -> object:
    if each.array:
        return ()
    return b"" if each.type == "bytes" else ""


def _flat(records: bytes | memoryview | Iterable[bytes | memoryview]) -> bytes | memoryview:
    if isinstance(records, bytes | bytearray | memoryview):
        return records
    return b"".join(records)


class _ArrayPackers(dict[int, Callable[..., bytes]]):
    """`pack` functions for arrays of one fixed-size type, by length; only short ones are kept."""

    def __init__(self, element_format: str) -> None:
        super().__init__()
        self._element_format = element_format

    def __missing__(self, length: int) -> Callable[..., bytes]:
        pack = binary.Struct(f">{length}{self._element_format}").pack
        if length <= 64:
            self[length] = pack
        return pack


class _Pieces:
    """Expressions that give bytes, in order; fixed-size values in a row are gathered into one pack."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._format = ""
        self._values: list[str] = []
        self._expressions: list[str] = []

    def fixed(self, format_: str, value: str) -> None:
        self._format += format_
        self._values.append(value)

    def zero_byte(self) -> None:
        self._format += "x"

    def bytes(self, expression: str) -> None:
        self._flush()
        self._expressions.append(expression)

    def _flush(self) -> None:
        if not self._format:
            return
        pack = binary.Struct(">" + self._format).pack
        if self._values:
            self._expressions.append(f"{self._source.constant('pack', pack)}({', '.join(self._values)})")
        else:
            self._expressions.append(repr(pack()))
        self._format, self._values = "", []

    def expression(self) -> str:
        self._flush()
        parts = self._expressions
        if len(parts) > 4:
            return f"join(({', '.join(parts)}))"
        return " + ".join(parts) or "b''"


class _StructWriter:
    """Writes the functions of a struct and of all structs inside it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._functions = 0

    def write(self, struct: Layout) -> str:
        """Add the function for `struct`; give its name."""
        nested = {each.name: self.write(each.struct) for each in struct.fields if each.struct is not None}
        tags = [self._tagged_value(each, nested.get(each.name)) for each in struct.tagged]
        name = f"encode_{self._functions}"
        self._functions += 1
        source = self._source
        source.add(0, f"def {name}(message):")
        pieces = _Pieces(source)
        for number, each in enumerate(struct.positional):
            source.add(1, f"v{number} = message.{each.name}")
            self._field(each, number, struct.flexible, nested.get(each.name), pieces)
        if struct.flexible and not tags:
            pieces.zero_byte()
        elif struct.flexible:
            source.add(1, "tags = []")
            for each, encode in zip(struct.tagged, tags, strict=True):
                self._tagged(each, encode)
            pieces.bytes("UV[len(tags)]")
            pieces.bytes("join(tags)")
        source.add(1, f"return {pieces.expression()}")
        return name

    def _field(
        self, each: FieldLayout, number: int, flexible: bool, nested: str | None, pieces: _Pieces
    ) -> None:
        value = f"v{number}"
        if not each.nullable and each.default is None and each.type != "uuid":
            self._source.add(1, f"if {value} is None:")
            self._source.add(2, f"{value} = {self._source.constant('empty', _empty(each))}")
        if each.array:
            body = self._array_body(each, value, flexible, nested)
            self._sized(each, value, f"len({value})", body, "i", flexible, pieces)
        elif each.type == "struct":
            if each.nullable:
                pieces.bytes(f"(b'\\xff' if {value} is None else b'\\x01' + {nested}({value}))")
            else:
                pieces.bytes(f"{nested}({value})")
        elif each.type == "uuid":
            pieces.fixed("16s", f"(ZERO_UUID if {value} is None else {value}.bytes)")
        elif each.type in FIXED_FORMATS:
            pieces.fixed(FIXED_FORMATS[each.type], value)
        else:
            data = {"string": f"{value}.encode()", "records": f"flat({value})"}.get(each.type, value)
            self._sized(
                each, value, f"len(d{number})", data, "h" if each.type == "string" else "i", flexible, pieces
            )

    def _sized(
        self,
        each: FieldLayout,
        value: str,
        length: str,
        data: str,
        format_: str,
        flexible: bool,
        pieces: _Pieces,
    ) -> None:
        """A length and the data it counts; -1, in compact form 0, is null."""
        suffix = value[1:]
        source = self._source
        if each.nullable:
            source.add(1, f"if {value} is None:")
            source.add(2, f"n{suffix} = {0 if flexible else -1}; d{suffix} = b''")
            source.add(1, "else:")
            source.add(2, f"d{suffix} = {data}", f"n{suffix} = {length}{' + 1' if flexible else ''}")
        else:
            source.add(1, f"d{suffix} = {data}", f"n{suffix} = {length}{' + 1' if flexible else ''}")
        if flexible:
            pieces.bytes(f"UV[n{suffix}]")
        else:
            pieces.fixed(format_, f"n{suffix}")
        pieces.bytes(f"d{suffix}")

    def _array_body(self, each: FieldLayout, value: str, flexible: bool, nested: str | None) -> str:
        if each.type == "struct":
            return f"join([{nested}(each) for each in {value}])"
        if each.type == "uuid":
            return f"join([ZERO_UUID if each is None else each.bytes for each in {value}])"
        if each.type in FIXED_FORMATS:
            packers = self._source.constant("packers", _ArrayPackers(FIXED_FORMATS[each.type]))
            return f"{packers}[len({value})](*{value})"
        encoded = f"[each.encode() for each in {value}]" if each.type == "string" else value
        if flexible:
            return f"join([UV[len(each) + 1] + each for each in {encoded}])"
        pack = self._source.constant("pack", binary.Struct(">h" if each.type == "string" else ">i").pack)
        return f"join([{pack}(len(each)) + each for each in {encoded}])"

    def _tagged_value(self, each: FieldLayout, nested: str | None) -> str:
        """Add a function that encodes the value of one tagged field; give its name."""
        name = f"encode_{self._functions}"
        self._functions += 1
        self._source.add(0, f"def {name}(v0):")
        pieces = _Pieces(self._source)
        self._field(each, 0, True, nested, pieces)
        self._source.add(1, f"return {pieces.expression()}")
        return name

    def _tagged(self, each: FieldLayout, encode: str) -> None:
        """Tagged fields that equal their default are left out."""
        assert each.tag is not None
        default = self._source.constant("default", each.default)
        tag = encode_uvarint(each.tag)
        source = self._source
        null_is_told = each.nullable and each.default is not None
        encoded = f"{encode}(value)" if null_is_told else f"b'' if value is None else {encode}(value)"
        source.add(1, f"value = message.{each.name}", f"encoded = {encoded}")
        if each.default is not None or each.type == "uuid":
            source.add(1, f"if value == {default} or encoded == {encode}({default}):", "    encoded = b''")
        source.add(1, "if encoded:", f"    tags.append({tag!r} + UV[len(encoded)] + encoded)")
