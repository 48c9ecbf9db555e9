"""The way from a text to a schema."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.registry.schemas.limits import check_size
from ottla.registry.schemas.schema import InvalidSchemaError, ParsedSchema, SchemaType

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
        return _parse(kind, text, references, new)
    except RecursionError:
        raise InvalidSchemaError("The schema is nested too deep") from None


def _parse(kind: SchemaType, text: str, references: Mapping[str, str], new: bool) -> ParsedSchema:
    if kind is SchemaType.AVRO:
        from ottla.registry.schemas.avro import AvroSchema

        return AvroSchema.parse(text, references, new=new)
    if kind is SchemaType.JSON:
        from ottla.registry.schemas.json_schema import JsonSchema

        return JsonSchema.parse(text, references, new=new)
    raise InvalidSchemaError(f"{kind} is not known here")
