"""Every row of the table of pairs, and Avro's as the `avro` package judges them."""

from __future__ import annotations

import warnings

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from tests.unit.schemas.pair_files import Pair, pairs

from ottla.schemas.parsing import parse
from ottla.schemas.schema import Incompatibility, SchemaType

FILES = {"avro": SchemaType.AVRO, "json_schema": SchemaType.JSON, "protobuf": SchemaType.PROTOBUF}
ROWS = [
    pytest.param(kind, pair, id=f"{file}: {pair.name}")
    for file, kind in FILES.items()
    for pair in pairs(file)
]


def test_the_table_is_large_and_no_row_is_there_twice() -> None:
    assert len(ROWS) >= 350
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("kind", "pair"), ROWS)
def test_pair(kind: SchemaType, pair: Pair) -> None:
    old, new = (parse(kind, text, pair.references) for text in (pair.old, pair.new))
    assert _shown(new.incompatibilities(old)) == pair.backward, pair.why
    assert _shown(old.incompatibilities(new)) == pair.forward, pair.why


@pytest.mark.parametrize(("kind", "pair"), ROWS)
def test_a_schema_reads_what_it_wrote_itself(kind: SchemaType, pair: Pair) -> None:
    for text in (pair.old, pair.new):
        schema = parse(kind, text, pair.references)
        assert schema.incompatibilities(schema) == []
        assert schema.incompatibilities(parse(kind, schema.normalised(), pair.references)) == []


@pytest.mark.parametrize(("kind", "pair"), ROWS)
def test_texts_are_canonical_and_normalised_once_and_for_all(kind: SchemaType, pair: Pair) -> None:
    for text in (pair.old, pair.new):
        schema = parse(kind, text, pair.references)
        assert parse(kind, schema.text, pair.references) == schema
        normalised = parse(kind, schema.normalised(), pair.references)
        assert (normalised.text, normalised.normalised()) == (schema.normalised(), schema.normalised())


@pytest.mark.parametrize(
    "pair", [pytest.param(each, id=each.name) for each in pairs("avro") if not each.unjudged]
)
def test_the_avro_package_agrees(pair: Pair) -> None:
    assert _avro_reads(pair.new, pair.old) == (pair.backward == [])
    assert _avro_reads(pair.old, pair.new) == (pair.forward == [])


def _avro_reads(reader: str, writer: str) -> bool:
    with warnings.catch_warnings(action="ignore", category=avro.errors.IgnoredLogicalType):
        schemas = avro.schema.parse(reader), avro.schema.parse(writer)
    result = ReaderWriterCompatibilityChecker().get_compatibility(*schemas)
    return result.compatibility is SchemaCompatibilityType.compatible


def _shown(found: list[Incompatibility]) -> list[str]:
    assert all("{" not in each.message and each.message for each in found)
    return [f"{each.type} {each.path}" for each in found]
