"""Take a value of one schema over into another: Connect's SchemaProjector."""

from __future__ import annotations

from typing import Final

from ottla.connect.data.numbers import to_float32, wrap
from ottla.connect.data.schema import Schema, Struct, Type, Value
from ottla.connect.errors import SchemaProjectorError

__all__ = ["project"]

_NUMBERS: Final = (Type.INT8, Type.INT16, Type.INT32, Type.INT64, Type.FLOAT32, Type.FLOAT64)


def project(source: Schema, value: Value, target: Schema) -> Value:
    """`value` of `source` as one of `target`: numbers widened, fields by name, missing ones by default.

    Raises SchemaProjectorError where that cannot be.
    """
    _check(source, target)
    if source.optional and not target.optional:
        if target.default is None:
            raise SchemaProjectorError(
                "Writer schema is optional, however, target schema does not provide a default value."
            )
        return target.default if value is None else _project(source, value, target)
    return None if value is None else _project(source, value, target)


def _promotable(source: Type, target: Type) -> bool:
    return source in _NUMBERS and target in _NUMBERS and _NUMBERS.index(source) <= _NUMBERS.index(target)


def _check(source: Schema, target: Schema) -> None:
    if source.type is not target.type and not _promotable(source.type, target.type):
        raise SchemaProjectorError(
            f"Schema type mismatch. source type: {source.type} and target type: {target.type}"
        )
    if source.name != target.name:
        raise SchemaProjectorError(
            f"Schema name mismatch. source name: {_or_null(source.name)} "
            f"and target name: {_or_null(target.name)}"
        )
    if source.parameters != target.parameters:
        raise SchemaProjectorError(
            f"Schema parameters not equal. source parameters: {_parameters(source)} "
            f"and target parameters: {_parameters(target)}"
        )


def _or_null(text: str | None) -> str:
    return "null" if text is None else text


def _parameters(schema: Schema) -> str:
    if schema.parameters is None:
        return "null"
    return "{" + ", ".join(f"{name}={value}" for name, value in schema.parameters.items()) + "}"


def _project(source: Schema, value: Value, target: Schema) -> Value:
    if isinstance(value, Struct):
        return _project_struct(source, value, target)
    if isinstance(value, list) and source.value_schema is not None and target.value_schema is not None:
        from_schema, to_schema = source.value_schema, target.value_schema
        return [project(from_schema, element, to_schema) for element in value]
    if isinstance(value, dict):
        keys, values = (source.key_schema, target.key_schema), (source.value_schema, target.value_schema)
        if keys[0] is not None and keys[1] is not None and values[0] is not None and values[1] is not None:
            return {
                project(keys[0], key, keys[1]): project(values[0], inner, values[1])
                for key, inner in value.items()
            }
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _promote(value, target.type)
    return value


def _promote(value: float, target: Type) -> Value:
    if target is Type.FLOAT32:
        return to_float32(value)
    if target is Type.FLOAT64:
        return float(value)
    return wrap(value, target) if isinstance(value, int) else value


def _project_struct(source: Schema, value: Struct, target: Schema) -> Struct:
    projected = Struct(target)
    for field in target.fields:
        origin = source.field(field.name)
        if origin is not None:
            try:
                projected[field.name] = project(origin.schema, value[field.name], field.schema)
            except SchemaProjectorError as error:
                raise SchemaProjectorError(f"Error projecting {origin.name}") from error
        elif field.schema.optional:
            continue
        elif field.schema.default is not None:
            projected[field.name] = field.schema.default
        else:
            raise SchemaProjectorError(
                f"Required field `{field.name}` is missing from source schema: {source}"
            )
    return projected
