"""Avro: schemas of Apache Avro 1.12."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Self

from ottla.schemas.avro.comparison import Comparison
from ottla.schemas.avro.model import Node, Types
from ottla.schemas.avro.parsing import Parser
from ottla.schemas.avro.writing import canonical, normalised
from ottla.schemas.json_text import read
from ottla.schemas.schema import Incompatibility, ParsedSchema, SchemaType, Sides

__all__ = ["AvroSchema"]


class AvroSchema(ParsedSchema):
    """An Avro schema; a reference is a schema whose named types this one uses by their full names."""

    __slots__ = ("_node", "_types")

    kind: ClassVar[SchemaType] = SchemaType.AVRO

    def __init__(self, node: Node, types: Types, references: Mapping[str, str]) -> None:
        super().__init__(canonical(node, types), references)
        self._node = node
        self._types = types

    @classmethod
    def parse(cls, text: str, references: Mapping[str, str], *, new: bool) -> Self:
        """Raises `InvalidSchemaError`. A type may be used before the reference that has it."""
        parser = Parser(new=new)
        given = parser.parse_references(
            {name: read(each, comments=True) for name, each in references.items()}
        )
        node = parser.parse(read(text, comments=True))
        return cls(node, Types(parser.types.by_name, given), references)

    def normalised(self) -> str:
        return normalised(self._node, self._types)

    def _forms(self) -> Mapping[str, Callable[[], str]]:
        return {"resolved": self._resolved}

    def _resolved(self) -> str:
        """With the types of references written out."""
        return canonical(self._node, Types(self._types.by_name))

    def _incompatibilities(self, writer: Self, sides: Sides) -> list[Incompatibility]:
        return Comparison(self._types, writer._types, sides).compare(self._node, writer._node)
