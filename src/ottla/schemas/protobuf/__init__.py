"""Protobuf: .proto files of proto2, proto3 and editions, and base64 of a FileDescriptorProto."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import ClassVar, Self

from ottla.schemas.limits import Budget
from ottla.schemas.protobuf.checks import check_file
from ottla.schemas.protobuf.comparison import compare
from ottla.schemas.protobuf.descriptors import parse_descriptor
from ottla.schemas.protobuf.encoding import Encoder
from ottla.schemas.protobuf.model import File
from ottla.schemas.protobuf.names import Names
from ottla.schemas.protobuf.normalising import Normaliser
from ottla.schemas.protobuf.parsing import parse_file
from ottla.schemas.protobuf.writing import canonical
from ottla.schemas.schema import Incompatibility, InvalidSchemaError, ParsedSchema, SchemaType, Sides

__all__ = ["ProtobufSchema", "read_file"]


class ProtobufSchema(ParsedSchema):
    """A .proto file; a reference is a file that it imports, by the path in the import."""

    __slots__ = ("_file", "_names")

    kind: ClassVar[SchemaType] = SchemaType.PROTOBUF

    def __init__(self, file: File, names: Names, references: Mapping[str, str]) -> None:
        super().__init__(canonical(file), references)
        self._file = file
        self._names = names

    @classmethod
    def parse(cls, text: str, references: Mapping[str, str], *, new: bool) -> Self:
        """Raises `InvalidSchemaError`. A type may come from any file that is referred to, imported or not."""
        budget = Budget("The schema")
        file = read_file(text, budget)
        files = {name: read_file(each, budget) for name, each in references.items()}
        names = Names(file, files, Budget("Looking for the schema's types"))
        if new:
            check_file(file)
            Normaliser(names, strict=True).file(file)
        return cls(file, names, references)

    def normalised(self) -> str:
        return canonical(Normaliser(self._names, strict=False).file(self._file))

    def _forms(self) -> Mapping[str, Callable[[], str]]:
        return {"serialized": self._serialized}

    def _serialized(self) -> str:
        """Base64 of a FileDescriptorProto."""
        return b64encode(Encoder(self._names, self.references).file(self._file)).decode()

    def _incompatibilities(self, writer: Self, sides: Sides) -> list[Incompatibility]:
        return compare(writer._names, self._names, sides)


def read_file(text: str, budget: Budget) -> File:
    """The elements of a .proto file, or of a descriptor in base64. Raises `InvalidSchemaError`."""
    try:
        return parse_file(text, budget)
    except InvalidSchemaError:
        file = parse_descriptor(text, budget)
        if file is None:
            raise
        return file
