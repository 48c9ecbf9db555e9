"""Whether a reader's schema resolves what a writer's wrote: schema resolution of Avro's specification.

Where the specification and Avro's Java library part, this judges as the library does: it is what reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ottla.schemas.avro.model import (
    Array,
    Enum,
    Fixed,
    MapOf,
    Named,
    Node,
    Record,
    Types,
    Union,
    kind_of,
)
from ottla.schemas.limits import MAX_PAIRS, Budget
from ottla.schemas.schema import Incompatibility, Sides, incompatibility
from ottla.schemas.walk import Finding, Found, Look, Step, Walk, under

__all__ = ["Comparison"]

_PROMOTIONS: Final[Mapping[str, Sequence[str]]] = {
    "long": ("int",),
    "float": ("int", "long"),
    "double": ("int", "long", "float"),
    "bytes": ("string",),
    "string": ("bytes",),
}
"""What a reader's primitive type takes besides itself."""

_MESSAGES: Final[Mapping[str, str]] = {
    "TYPE_MISMATCH": "The {reader} schema does not read the type that the {writer} one has",
    "NAME_MISMATCH": "A type of the {reader} schema has neither the name in the {writer} one nor an alias",
    "FIXED_SIZE_MISMATCH": "A fixed type has another size in the {reader} schema than in the {writer} one",
    "MISSING_ENUM_SYMBOLS": "An enum of the {reader} schema lacks symbols of the {writer} one",
    "MISSING_UNION_BRANCH": "A union of the {reader} schema has no branch for a type of the {writer} one",
    "READER_FIELD_MISSING_DEFAULT_VALUE": (
        "A field without a default in the {reader} schema is not in the {writer} one"
    ),
    "AMBIGUOUS_FIELD_ALIAS": "A field of the {reader} schema is several of the {writer} one, by its aliases",
}


class Comparison:
    """One reader with one writer."""

    def __init__(self, reader: Types, writer: Types, sides: Sides) -> None:
        self._reader = reader
        self._writer = writer
        self._sides = sides

    def compare(self, reader: Node, writer: Node) -> list[Incompatibility]:
        """Raises `InvalidSchemaError` beyond the limits."""
        walk = Walk(self._look, Budget("The comparison", MAX_PAIRS))
        found = walk.compare(self._reader.resolve(reader), self._writer.resolve(writer))
        return [self._incompatibility(finding) for finding in found]

    def _incompatibility(self, finding: Finding) -> Incompatibility:
        pointer = "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in finding.path)
        return incompatibility(finding.type, _MESSAGES[finding.type], pointer, finding.info, self._sides)

    def _pair(self, reader: Node, writer: Node) -> Look[Node]:
        return (yield self._reader.resolve(reader), self._writer.resolve(writer))

    def _look(self, reader: Node, writer: Node) -> Look[Node]:
        match reader, writer:
            case Union(), Union(branches=branches):
                return (yield from self._union_in_union(reader, branches))
            case _, Union(branches=branches):
                return (yield from self._all(reader, branches))
            case Union(branches=branches), _:
                return (yield from self._any(branches, writer))
            case Array(), Array():
                return under(["items"], (yield from self._pair(reader.items, writer.items)))
            case MapOf(), MapOf():
                return under(["values"], (yield from self._pair(reader.values, writer.values)))
            case Fixed(), Fixed():
                return _names(reader, writer) + _sizes(reader, writer)
            case Enum(), Enum():
                return _names(reader, writer) + _symbols(reader, writer)
            case Record(), Record():
                return _names(reader, writer) + (yield from self._fields(reader, writer))
        read, written = kind_of(reader), kind_of(writer)
        if read == written or written in _PROMOTIONS.get(read, ()):
            return []
        return [Finding("TYPE_MISMATCH", (), f"{written} is not read as {read}")]

    def _union_in_union(self, reader: Union, branches: Sequence[Node]) -> Look[Node]:
        found: list[Found] = []
        for position, branch in enumerate(branches):
            if (yield from self._pair(reader, branch)):
                kind = kind_of(self._writer.resolve(branch))
                found.append(Finding("MISSING_UNION_BRANCH", (str(position),), kind))
        return found

    def _all(self, reader: Node, branches: Sequence[Node]) -> Look[Node]:
        found: list[Found] = []
        for position, branch in enumerate(branches):
            found += under([str(position)], (yield from self._pair(reader, branch)))
        return found

    def _any(self, branches: Sequence[Node], writer: Node) -> Look[Node]:
        for branch in branches:
            if not (yield from self._pair(branch, writer)):
                return []
        return [Finding("MISSING_UNION_BRANCH", (), kind_of(writer))]

    def _fields(self, reader: Record, writer: Record) -> Step[Node]:
        written = {field.name: field for field in writer.fields}
        found: list[Found] = []
        for position, field in enumerate(reader.fields):
            at = ("fields", str(position))
            sources = [written[name] for name in (field.name, *field.aliases) if name in written]
            if len(sources) > 1:
                found.append(Finding("AMBIGUOUS_FIELD_ALIAS", at, field.name))
            elif sources:
                found += under((*at, "type"), (yield from self._pair(field.type, sources[0].type)))
            elif not field.default:
                found.append(Finding("READER_FIELD_MISSING_DEFAULT_VALUE", at, field.name))
        return found


def _names(reader: Named, writer: Named) -> list[Finding]:
    full = writer.name.full
    if reader.name.simple == writer.name.simple or any(alias.full == full for alias in reader.aliases):
        return []
    return [Finding("NAME_MISMATCH", ("name",), f"{full} is not {reader.name.full}")]


def _sizes(reader: Fixed, writer: Fixed) -> list[Finding]:
    if reader.size == writer.size:
        return []
    return [Finding("FIXED_SIZE_MISMATCH", ("size",), f"{writer.size} bytes are not read as {reader.size}")]


def _symbols(reader: Enum, writer: Enum) -> list[Finding]:
    known = frozenset(reader.symbols)
    missing = sorted(symbol for symbol in writer.symbols if symbol not in known)
    if not missing or reader.default is not None:
        return []
    return [Finding("MISSING_ENUM_SYMBOLS", ("symbols",), f"[{', '.join(missing)}]")]
