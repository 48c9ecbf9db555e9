"""The way from a text to a schema."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.schemas.limits import MAX_TEXT, check_size
from ottla.schemas.schema import InvalidSchemaError, ParsedSchema, SchemaType

__all__ = ["parse"]


def parse(
    kind: SchemaType, text: str, references: Mapping[str, str] | None = None, *, new: bool = True
) -> ParsedSchema:
    """The schema that `text` is.

    `references` has the text of each schema that it refers to, and that these refer to, by the reference's
    name; its order means nothing. `new` is whether the schema is being registered: a stored one is not held
    to rules that it may be older than. Raises `InvalidSchemaError`, and nothing else, whatever the text.
    """
    references = dict(references or {})
    check_size(text, references)
    try:
        schema = _parse(kind, text, references, new)
    except RecursionError:
        raise InvalidSchemaError("The schema is nested too deep") from None
    if not schema.text:
        raise InvalidSchemaError("The schema says nothing")
    if len(schema.text) > MAX_TEXT:
        raise InvalidSchemaError(f"The schema, written canonically, has more than {MAX_TEXT} characters")
    return schema


def _parse(kind: SchemaType, text: str, references: Mapping[str, str], new: bool) -> ParsedSchema:
    if kind is SchemaType.AVRO:
        from ottla.schemas.avro import AvroSchema

        return AvroSchema.parse(text, references, new=new)
    if kind is SchemaType.JSON:
        from ottla.schemas.json_schema import JsonSchema

        return JsonSchema.parse(text, references, new=new)
    from ottla.schemas.protobuf import ProtobufSchema

    return ProtobufSchema.parse(text, references, new=new)
