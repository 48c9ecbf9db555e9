"""Values taken over into another schema."""

from __future__ import annotations

import pytest

from ottla.connect.data import (
    FLOAT32,
    FLOAT64,
    INT8,
    INT64,
    OPTIONAL_INT8,
    STRING,
    Schema,
    Struct,
    Type,
    Value,
    array_of,
    decimal_schema,
    map_of,
    project,
    struct_of,
)
from ottla.connect.errors import SchemaProjectorError


@pytest.mark.parametrize(
    ("source", "value", "target", "projected"),
    [
        (INT8, 5, INT64, 5),
        (INT64, 2**62 + 1, FLOAT64, float(2**62)),
        (FLOAT64, 0.1, FLOAT64, 0.1),
        (INT8, 5, FLOAT32, 5.0),
        (STRING, "a", STRING, "a"),
        (OPTIONAL_INT8, None, Schema(Type.INT8, default=3), 3),
        (OPTIONAL_INT8, 1, Schema(Type.INT8, default=3), 1),
        (OPTIONAL_INT8, None, OPTIONAL_INT8, None),
        (array_of(INT8), [1, 2], array_of(INT64), [1, 2]),
        (map_of(STRING, INT8), {"a": 1}, map_of(STRING, FLOAT64), {"a": 1.0}),
    ],
)
def test_values_are_projected(source: Schema, value: Value, target: Schema, projected: Value) -> None:
    result = project(source, value, target)
    assert result == projected
    assert type(result) is type(projected)


def test_fields_are_taken_over_by_name() -> None:
    source = struct_of({"gone": STRING, "kept": INT8})
    target = struct_of({"kept": INT64, "new": Schema(Type.STRING, default="x"), "maybe": OPTIONAL_INT8})
    projected = project(source, Struct(source, {"gone": "a", "kept": 1}), target)
    assert projected == Struct(target, {"kept": 1, "new": "x"})


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        (INT64, INT8, "Schema type mismatch. source type: INT64 and target type: INT8"),
        (INT8, Schema(Type.INT8, name="a"), "Schema name mismatch. source name: null and target name: a"),
        (
            decimal_schema(1),
            decimal_schema(2),
            "source parameters: {scale=1} and target parameters: {scale=2}",
        ),
        (OPTIONAL_INT8, INT8, "target schema does not provide a default value."),
    ],
)
def test_what_does_not_fit_is_named(source: Schema, target: Schema, text: str) -> None:
    with pytest.raises(SchemaProjectorError) as caught:
        project(source, 1, target)
    assert text in str(caught.value)


def test_a_missing_field_is_named() -> None:
    source, target = struct_of({}), struct_of({"a": INT8}, name=None)
    with pytest.raises(SchemaProjectorError, match="Required field `a` is missing from source schema"):
        project(source, Struct(source), target)
    wider = struct_of({"a": STRING})
    with pytest.raises(SchemaProjectorError, match="Error projecting a") as caught:
        project(wider, Struct(wider, {"a": "x"}), target)
    assert "Schema type mismatch" in str(caught.value.__cause__)
