"""`ottla.client.json()` and its kind: they bring pyarrow only when they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ottla.client.errors import missing_extra

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.client.schema_registry import SchemaRegistry
    from ottla.client.values.avro.values import AvroValues
    from ottla.client.values.framed_json.values import JsonSchemaValues
    from ottla.client.values.interface import Errors
    from ottla.client.values.json import JsonValues
    from ottla.client.values.protobuf.values import ProtobufValues
    from ottla.client.values.raw import RawValues
    from ottla.client.values.registry import Registry, SubjectNames
    from ottla.client.values.text import TextValues

__all__ = ["avro", "json", "json_schema", "protobuf", "raw", "registry", "text"]


def json(schema: pa.Schema | pa.DataType | None = None, *, errors: Errors = "raise") -> JsonValues:
    """JSON of a schema that is declared here or, if None, inferred from the first batch and kept."""
    try:
        from ottla.client.values.json import JsonValues
    except ImportError as error:
        raise missing_extra("JSON values", error) from error
    return JsonValues(schema, errors)


def registry(urls: str | Iterable[str], **settings: Any) -> SchemaRegistry:
    """A schema registry, for the formats that need one; settings as `SchemaRegistry` has them."""
    from ottla.client.schema_registry import SchemaRegistry

    return SchemaRegistry(urls, **settings)


def avro(
    schemas: Registry | str,
    schema: str | None = None,
    *,
    errors: Errors = "raise",
    subjects: SubjectNames = "topic",
    register: bool = True,
    use_latest: bool = False,
    normalize: bool = False,
    ids: Literal["value", "header"] = "value",
) -> AvroValues:
    """Avro, its schemas in a registry (or the URL of one). `schema` is a text; without it values are read as
    the newest that the first batch has, and written as their columns are. How schemas are registered is as
    with Confluent's clients: `Registration` says what the options mean.
    """
    try:
        from ottla.client.values.avro.values import AvroValues
        from ottla.client.values.framed import Registration
    except ImportError as error:
        raise missing_extra("Avro values", error) from error
    registration = Registration(
        subjects=subjects, register=register, use_latest=use_latest, normalize=normalize, ids=ids
    )
    return AvroValues(_registry_of(schemas), schema, errors, registration)


def json_schema(
    schemas: Registry | str,
    schema: str | None = None,
    *,
    validate: bool = False,
    errors: Errors = "raise",
    subjects: SubjectNames = "topic",
    register: bool = True,
    use_latest: bool = False,
    normalize: bool = False,
    ids: Literal["value", "header"] = "value",
) -> JsonSchemaValues:
    """JSON, with JSON Schemas in a registry (or the URL of one). `schema` is a text; without it values are
    read as the newest that the first batch has, and written as their columns are. With `validate` each is
    compared with its schema (`ottla[json-schema]`). The rest is as for `avro`.
    """
    try:
        from ottla.client.values.framed import Registration
        from ottla.client.values.framed_json.values import JsonSchemaValues
    except ImportError as error:
        raise missing_extra("JSON values", error) from error
    registration = Registration(
        subjects=subjects, register=register, use_latest=use_latest, normalize=normalize, ids=ids
    )
    return JsonSchemaValues(_registry_of(schemas), schema, validate, errors, registration)


def protobuf(
    schemas: Registry | str,
    schema: str | None = None,
    message: str | None = None,
    *,
    files: Mapping[str, str] = {},
    errors: Errors = "raise",
    subjects: SubjectNames = "topic",
    register: bool = True,
    use_latest: bool = False,
    normalize: bool = False,
    ids: Literal["value", "header"] = "value",
) -> ProtobufValues:
    """Protobuf, its schemas in a registry (or the URL of one). `schema` is a .proto file's text, `files` has
    those that it imports by their paths, and `message` is a full name, without which the first of the file is
    meant. Without a schema values are read as the newest that the first batch has, and written as their
    columns are. The rest is as for `avro`.
    """
    try:
        from ottla.client.values.framed import Registration
        from ottla.client.values.protobuf.values import ProtobufValues
    except ImportError as error:
        raise missing_extra("Protobuf values", error) from error
    registration = Registration(
        subjects=subjects, register=register, use_latest=use_latest, normalize=normalize, ids=ids
    )
    return ProtobufValues(_registry_of(schemas), schema, message, files, errors, registration)


def _registry_of(given: Registry | str) -> Registry:
    return registry(given) if isinstance(given, str) else given


def text(
    encoding: str = "utf-8", *, errors: Errors = "raise", invalid: Literal["broken", "replace"] = "broken"
) -> TextValues:
    """Text. Bytes that are none in `encoding` are broken, or become U+FFFD with `invalid="replace"`."""
    try:
        from ottla.client.values.text import TextValues
    except ImportError as error:
        raise missing_extra("text values", error) from error
    return TextValues(encoding, errors, invalid)


def raw() -> RawValues:
    """Bytes, as they are."""
    try:
        from ottla.client.values.raw import RawValues
    except ImportError as error:
        raise missing_extra("columns", error) from error
    return RawValues()
