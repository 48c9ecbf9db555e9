"""What a schema is, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple, Self

__all__ = [
    "NEW_READS_OLD",
    "OLD_READS_NEW",
    "Incompatibility",
    "InvalidSchemaError",
    "ParsedSchema",
    "SchemaType",
    "Sides",
]


class SchemaType(StrEnum):
    """`schemaType` in the registry's API."""

    AVRO = "AVRO"
    JSON = "JSON"
    PROTOBUF = "PROTOBUF"


class InvalidSchemaError(ValueError):
    """No schema, or one beyond the limits; the message is for its author."""


class Sides(NamedTuple):
    """What messages call the schema that reads and the schema that wrote."""

    reader: str
    writer: str


NEW_READS_OLD: Final = Sides("new", "old")
OLD_READS_NEW: Final = Sides("old", "new")


class Incompatibility(NamedTuple):
    """One reason why data of the writer cannot be read with the reader."""

    type: str
    """The kind of change by Confluent's name, such as READER_FIELD_MISSING_DEFAULT_VALUE."""
    path: str
    """Where in the reader: a JSON pointer (Avro), `#/properties/x` (JSON Schema, Protobuf)."""
    message: str
    info: str = ""
    """What exactly: the field, the symbols."""

    def __str__(self) -> str:
        info = f", additionalInfo:'{self.info}'" if self.info else ""
        return f"{{errorType:'{self.type}', description:'{self.message}'{info}}}"


def incompatibility(type_: str, message: str, path: str, info: str, sides: Sides) -> Incompatibility:
    """One of `type_`, whose `message` speaks of {reader} and {writer}."""
    return Incompatibility(type_, path, message.format_map(sides._asdict()), info)


class ParsedSchema(ABC):
    """A valid schema. Two are equal when kind, text and references are: that is what has one id."""

    __slots__ = ("references", "text")

    kind: ClassVar[SchemaType]

    def __init__(self, text: str, references: Mapping[str, str]) -> None:
        self.text = text
        """As stored and given back: canonical, with all that its author said."""
        self.references = references
        """The texts of the schemas that it refers to, and that these refer to, by the reference's name."""

    @abstractmethod
    def normalised(self) -> str:
        """The text with everything in one order whose order means nothing."""

    def formatted(self, form: str) -> str:
        """The text in a form that clients ask for by name; in one that this kind lacks, the text itself."""
        made = self._forms().get(form.lower())
        return self.text if made is None else made()

    def _forms(self) -> Mapping[str, Callable[[], str]]:
        return {}

    @abstractmethod
    def _incompatibilities(self, writer: Self, sides: Sides) -> list[Incompatibility]: ...

    def incompatibilities(self, writer: ParsedSchema, sides: Sides = NEW_READS_OLD) -> list[Incompatibility]:
        """Why this schema cannot read what `writer` wrote; empty if it can.

        Raises `InvalidSchemaError` if the two cannot be compared within the limits.
        """
        if not isinstance(writer, type(self)):
            message = "The {reader} schema is of another format than the {writer} one"
            info = f"{writer.kind} is not read as {self.kind}"
            return [incompatibility("SCHEMA_TYPE_CHANGED", message, "/", info, sides)]
        return self._incompatibilities(writer, sides)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ParsedSchema)
            and self.kind is other.kind
            and self.text == other.text
            and self.references == other.references
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.text))
