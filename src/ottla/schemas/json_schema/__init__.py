"""JSON Schema: drafts 4, 6, 7, 2019-09 and 2020-12; without `$schema` it is draft 7."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from ottla.schemas.json_schema.comparison import compare
from ottla.schemas.json_schema.documents import Documents
from ottla.schemas.json_schema.drafts import check_keywords
from ottla.schemas.json_schema.model import Nodes
from ottla.schemas.json_text import Json, read, write
from ottla.schemas.limits import Budget
from ottla.schemas.schema import Incompatibility, InvalidSchemaError, ParsedSchema, SchemaType, Sides

__all__ = ["JsonSchema"]


class JsonSchema(ParsedSchema):
    """A JSON Schema; a reference is a schema that a `$ref` here names."""

    __slots__ = ("_nodes", "_root")

    kind: ClassVar[SchemaType] = SchemaType.JSON

    def __init__(self, root: Json, nodes: Nodes, references: Mapping[str, str]) -> None:
        super().__init__(write(root), references)
        self._root = root
        self._nodes = nodes

    @classmethod
    def parse(cls, text: str, references: Mapping[str, str], *, new: bool) -> Self:
        """Raises `InvalidSchemaError`."""
        root = read(text, exact=True)
        if not isinstance(root, bool | Mapping):
            raise InvalidSchemaError("A JSON Schema is an object, true or false")
        budget = Budget("The schema")
        documents = Documents(
            root, {name: read(each, exact=True) for name, each in references.items()}, budget
        )
        nodes = Nodes(documents)
        if new:
            for schema in check_keywords(root, documents.draft, budget):
                nodes.of(schema)
        return cls(root, nodes, references)

    def normalised(self) -> str:
        return write(self._root, sort=True)

    def _incompatibilities(self, writer: Self, sides: Sides) -> list[Incompatibility]:
        return compare(writer._nodes.of(writer._root), self._nodes.of(self._root), sides)
