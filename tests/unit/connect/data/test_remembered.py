"""What is made of schemas is made once, for the last few."""

from __future__ import annotations

import pytest

from ottla.connect.data import Schema, Type
from ottla.connect.data.remembered import Remembered
from ottla.connect.errors import DataError


@pytest.mark.parametrize("most", [0, 1, 16])
def test_schemas_are_made_once_for_the_last_few(most: int) -> None:
    made: list[Schema] = []

    def make(schema: Schema) -> Schema:
        made.append(schema)
        return schema.replace(name="made")

    remembered = Remembered(make, most)
    schemas = [Schema(Type.INT32, version=number) for number in range(most + 1)]
    for schema in schemas:
        first = remembered[schema]
        assert first.name == "made"
        assert (remembered[Schema(Type.INT32, version=schema.version)] is first) == bool(most)
    del made[:]
    assert remembered[schemas[0]].name == "made"
    assert made == schemas[:1], "the first was over"


def test_what_is_forgotten_is_made_anew_and_what_fails_is_not_remembered() -> None:
    answers = [DataError("none"), "one", "two"]

    def make(_given: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, DataError):
            raise answer
        return answer

    remembered = Remembered(make)
    with pytest.raises(DataError):
        remembered["a"]
    assert [remembered["a"], remembered["a"]] == ["one", "one"]
    remembered.forget("a")
    remembered.forget("b")
    assert remembered["a"] == "two"
