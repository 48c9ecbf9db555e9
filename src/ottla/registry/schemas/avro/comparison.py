"""Whether a reader's schema resolves what a writer's wrote: schema resolution of Avro's specification.

Where the specification and Avro's Java library part, this judges as the library does: it is what reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ottla.registry.schemas.avro.model import (
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
from ottla.registry.schemas.limits import MAX_INCOMPATIBILITIES, Budget
from ottla.registry.schemas.schema import Incompatibility, Sides, incompatibility

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

_Path = tuple[str, ...]


class Comparison:
    """One reader with one writer. Two types met again while being compared count as compatible."""

    def __init__(self, reader: Types, writer: Types, sides: Sides) -> None:
        self._reader = reader
        self._writer = writer
        self._sides = sides
        self._known: dict[tuple[int, int], list[Incompatibility]] = {}
        self._budget = Budget("The comparison")

    def compare(self, reader: Node, writer: Node) -> list[Incompatibility]:
        """Raises `InvalidSchemaError` if it takes too long."""
        return self._pair(reader, writer, (), 0)

    def _pair(self, reader: Node, writer: Node, path: _Path, depth: int) -> list[Incompatibility]:
        reader, writer = self._reader.resolve(reader), self._writer.resolve(writer)
        key = (id(reader), id(writer))
        known = self._known.get(key)
        if known is None:
            self._budget.spend(depth=depth)
            self._known[key] = []
            known = self._known[key] = self._look(reader, writer, path, depth + 1)[:MAX_INCOMPATIBILITIES]
        self._budget.spend(len(known))
        return known

    def _look(self, reader: Node, writer: Node, path: _Path, depth: int) -> list[Incompatibility]:
        match reader, writer:
            case Union(), Union(branches=branches):
                return self._union_in_union(reader, branches, path, depth)
            case _, Union(branches=branches):
                pairs = [self._pair(reader, each, (*path, str(i)), depth) for i, each in enumerate(branches)]
                return [found for each in pairs for found in each]
            case Union(branches=branches), _:
                if any(not self._pair(branch, writer, path, depth) for branch in branches):
                    return []
                return [self._missing_branch(writer, path)]
            case Array(), Array():
                return self._pair(reader.items, writer.items, (*path, "items"), depth)
            case MapOf(), MapOf():
                return self._pair(reader.values, writer.values, (*path, "values"), depth)
            case Fixed(), Fixed():
                return self._names(reader, writer, path) + self._sizes(reader, writer, path)
            case Enum(), Enum():
                return self._names(reader, writer, path) + self._symbols(reader, writer, path)
            case Record(), Record():
                return self._names(reader, writer, path) + self._fields(reader, writer, path, depth)
        read, written = kind_of(reader), kind_of(writer)
        if read == written or written in _PROMOTIONS.get(read, ()):
            return []
        return [self._found("TYPE_MISMATCH", path, f"{written} is not read as {read}")]

    def _union_in_union(
        self, reader: Union, branches: Sequence[Node], path: _Path, depth: int
    ) -> list[Incompatibility]:
        return [
            self._missing_branch(branch, (*path, str(i)))
            for i, branch in enumerate(branches)
            if self._pair(reader, branch, (), depth)
        ]

    def _missing_branch(self, writer: Node, path: _Path) -> Incompatibility:
        return self._found("MISSING_UNION_BRANCH", path, kind_of(self._writer.resolve(writer)))

    def _names(self, reader: Named, writer: Named, path: _Path) -> list[Incompatibility]:
        full = writer.name.full
        if reader.name.simple == writer.name.simple or any(alias.full == full for alias in reader.aliases):
            return []
        return [self._found("NAME_MISMATCH", (*path, "name"), f"{full} is not {reader.name.full}")]

    def _sizes(self, reader: Fixed, writer: Fixed, path: _Path) -> list[Incompatibility]:
        if reader.size == writer.size:
            return []
        info = f"{writer.size} bytes are not read as {reader.size}"
        return [self._found("FIXED_SIZE_MISMATCH", (*path, "size"), info)]

    def _symbols(self, reader: Enum, writer: Enum, path: _Path) -> list[Incompatibility]:
        known = frozenset(reader.symbols)
        missing = sorted(symbol for symbol in writer.symbols if symbol not in known)
        if not missing or reader.default is not None:
            return []
        return [self._found("MISSING_ENUM_SYMBOLS", (*path, "symbols"), f"[{', '.join(missing)}]")]

    def _fields(self, reader: Record, writer: Record, path: _Path, depth: int) -> list[Incompatibility]:
        written = {field.name: field for field in writer.fields}
        found: list[Incompatibility] = []
        for position, field in enumerate(reader.fields):
            at = (*path, "fields", str(position))
            sources = [written[name] for name in (field.name, *field.aliases) if name in written]
            if len(sources) > 1:
                found.append(self._found("AMBIGUOUS_FIELD_ALIAS", at, field.name))
            elif sources:
                found += self._pair(field.type, sources[0].type, (*at, "type"), depth)
            elif not field.default:
                found.append(self._found("READER_FIELD_MISSING_DEFAULT_VALUE", at, field.name))
        return found

    def _found(self, type_: str, path: _Path, info: str) -> Incompatibility:
        pointer = "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
        return incompatibility(type_, _MESSAGES[type_], pointer, info, self._sides)
