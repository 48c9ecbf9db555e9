"""Schemas and structs: what they take, what they refuse and say, and what equals what."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from ottla.connect.data import (
    DATE,
    FLOAT64,
    INT8,
    INT32,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIME,
    TIMESTAMP,
    Field,
    Schema,
    Struct,
    Type,
    Value,
    array_of,
    decimal_schema,
    map_of,
    struct_of,
    validate_value,
)
from ottla.connect.errors import DataError, SchemaBuilderError

PERSON = struct_of({"name": STRING, "age": INT32, "nick": OPTIONAL_STRING}, name="person", version=2)
UTC = dt.UTC


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INT8, -128),
        (INT64, 2**63 - 1),
        (FLOAT64, 1.5),
        (Schema(Type.BOOLEAN), False),
        (STRING, ""),
        (Schema(Type.BYTES), b"\0"),
        (OPTIONAL_STRING, None),
        (array_of(STRING), ["a"]),
        (array_of(None), []),
        (map_of(STRING, INT8), {"a": 1}),
        (decimal_schema(2), Decimal("1.50")),
        (DATE, dt.date(1960, 2, 29)),
        (TIME, dt.time(23, 59, 59, 999000)),
        (TIMESTAMP, dt.datetime(2024, 1, 1, tzinfo=UTC)),
        (PERSON, Struct(PERSON, {"name": "Ada", "age": 36})),
    ],
)
def test_a_schema_takes_its_values(schema: Schema, value: Value) -> None:
    validate_value(schema, value)


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (INT8, 128, "Invalid value: 128 is out of range for value, schema type: INT8"),
        (INT8, True, "Invalid Python object for schema with type INT8: bool for value"),
        (INT64, 1.0, "Invalid Python object for schema with type INT64: float for value"),
        (FLOAT64, 1, "Invalid Python object for schema with type FLOAT64: int for value"),
        (STRING, None, "Invalid value: null used for required value, schema type: STRING"),
        (array_of(INT8), [1, "a"], "with type INT8: str for element of array value"),
        (array_of(None), [None], "No schema defined for element of array value"),
        (map_of(STRING, INT8), {1: 1}, "with type STRING: int for key of map value"),
        (map_of(STRING, INT8), {"a": None}, "null used for required value of map value"),
        (DATE, dt.datetime(2024, 1, 1, tzinfo=UTC), 'Date" with type INT32: datetime for value'),
        (TIMESTAMP, dt.datetime(2024, 1, 1), "has no time zone"),
        (decimal_schema(1), 1.5, 'Decimal" with type BYTES: float for value'),
        (PERSON, Struct(struct_of({})), "Struct schemas do not match."),
        (PERSON, Struct(PERSON, {"name": "Ada"}), 'null used for required field: "age"'),
    ],
)
def test_what_is_no_value_of_a_schema_is_named(schema: Schema, value: Value, text: str) -> None:
    with pytest.raises(DataError) as caught:
        validate_value(schema, value)
    assert text in str(caught.value)


def test_a_struct_holds_each_field_to_its_schema() -> None:
    person = Struct(PERSON)
    person["name"] = "Ada"
    with pytest.raises(DataError, match='int for field: "name"'):
        person["name"] = 1
    with pytest.raises(DataError, match="shoe is not a valid field name"):
        person["shoe"] = 1
    with pytest.raises(DataError, match="Field 'name' is not of type INT32"):
        person.int32("name")
    assert person.string("name") == "Ada"
    assert person.string("nick") is None
    assert str(person) == "Struct{name=Ada}"
    with pytest.raises(DataError, match="Not a struct schema: Schema{STRING}"):
        Struct(STRING)


def test_a_field_that_is_unset_has_its_default() -> None:
    schema = struct_of({"n": Schema(Type.INT32, default=7)})
    struct = Struct(schema)
    struct.validate()
    assert struct["n"] == 7
    assert struct.without_default("n") is None
    assert struct.int32("n") is None


def test_schemas_are_equal_when_they_say_the_same() -> None:
    again = struct_of({"name": STRING, "age": INT32, "nick": OPTIONAL_STRING}, name="person", version=2)
    assert again == PERSON
    assert hash(again) == hash(PERSON)
    assert again.fields[1] == Field("age", 1, INT32)
    for other in (
        again.replace(optional=True),
        again.replace(name="people"),
        again.replace(version=3),
        again.replace(doc="someone"),
        again.replace(parameters={"a": "b"}),
        again.replace(fields=[("name", STRING)]),
        struct_of({"age": INT32, "name": STRING, "nick": OPTIONAL_STRING}, name="person", version=2),
    ):
        assert other != PERSON
    assert Schema(Type.INT8, default=1) != Schema(Type.INT8, default=2)
    assert Struct(PERSON, {"name": "Ada"}) == Struct(again, {"name": "Ada"})
    assert hash(Struct(PERSON, {"name": "Ada"})) == hash(Struct(again, {"name": "Ada"}))
    assert Struct(PERSON, {"name": "Ada"}) != Struct(again, {"name": "Eva"})


def test_a_schema_that_cannot_be_is_refused() -> None:
    with pytest.raises(SchemaBuilderError, match="Invalid default value"):
        Schema(Type.INT8, default="one")
    with pytest.raises(SchemaBuilderError, match="duplication a"):
        struct_of([("a", INT8), ("a", INT8)])
    with pytest.raises(SchemaBuilderError, match="fieldName cannot be null"):
        struct_of({"": INT8})
    with pytest.raises(SchemaBuilderError, match="Cannot create fields on type INT8"):
        Schema(Type.INT8, fields=[("a", INT8)])


def test_only_the_right_types_have_fields_and_inner_schemas() -> None:
    with pytest.raises(DataError, match="Cannot list fields on non-struct type"):
        _ = INT8.fields
    with pytest.raises(DataError, match="Cannot look up fields on non-struct type"):
        INT8.field("a")
    with pytest.raises(DataError, match="Cannot look up key schema on non-map type"):
        _ = array_of(INT8).key_schema
    with pytest.raises(DataError, match="Cannot look up value schema on non-array and non-map type"):
        _ = INT8.value_schema
    assert str(PERSON) == "Schema{person:STRUCT}"
    assert PERSON.field("nobody") is None
