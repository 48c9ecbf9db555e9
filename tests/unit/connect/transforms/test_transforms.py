"""What the golden answers do not say of transforms: those of ours alone, chains, what is dropped."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import pytest

from ottla.connect.data import INT32, STRING, Schema, SchemaAndValue, Struct, Type, Value, struct_of
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import ConnectRecord, SinkRecord, SourceRecord
from ottla.connect.transforms.catalogue import PREDICATES, TRANSFORMS
from ottla.connect.transforms.chain import Stage, TransformationChain
from ottla.connect.transforms.fields import FlattenValue, ReplaceFieldValue
from ottla.connect.transforms.headers import DropHeaders, InsertHeader
from ottla.connect.transforms.insertion import MaskFieldValue
from ottla.connect.transforms.interface import Predicate, Transformation
from ottla.connect.transforms.predicates import HasHeaderKey, RecordIsTombstone
from ottla.connect.transforms.routing import ExtractTopicKey, ExtractTopicValue, Filter, PythonTransform


def sink(value: Value = None, schema: Schema | None = None, key: Value = None) -> SinkRecord:
    return SinkRecord("t", 0, 5, key=key, value_schema=schema, value=value)


def doubled(record: ConnectRecord) -> ConnectRecord | None:
    if not isinstance(record.value, int):
        return None
    return record.replace(value=SchemaAndValue(None, record.value * 2))


def wrong(record: ConnectRecord) -> object:
    return record.value


@pytest.mark.parametrize(("names", "base"), [(TRANSFORMS, Transformation), (PREDICATES, Predicate)])
def test_every_name_has_its_class(names: Mapping[str, str], base: type) -> None:
    classes = []
    for name, where in names.items():
        module, _, attribute = where.partition(":")
        plugin = getattr(importlib.import_module(module), attribute)
        assert issubclass(plugin, base), name
        assert plugin.DOC, name
        assert all(key.doc for key in plugin.CONFIG.keys.values()), name
        classes.append(plugin)
    assert len(set(classes)) == len(classes)


def test_a_function_of_python_changes_and_drops_records() -> None:
    transform = PythonTransform({"function": f"{__name__}:doubled"})
    changed = transform.apply(sink(21))
    assert changed is not None
    assert (changed.value, changed.offset) == (42, 5)
    assert transform.apply(sink("text")) is None
    with pytest.raises(DataError, match="wrong returned int, neither SinkRecord nor None"):
        PythonTransform({"function": f"{__name__}:wrong"}).apply(sink(1))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("doubled", "module:name"),
        ("no.such.module:f", "cannot be imported"),
        (f"{__name__}:none", "no such function"),
    ],
)
def test_a_function_that_is_none_is_named(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        PythonTransform({"function": name})


def test_a_topic_is_taken_from_a_field() -> None:
    schema = struct_of({"to": STRING, "n": INT32})
    record = sink(Struct(schema, {"to": "elsewhere", "n": 1}), schema, key={"to": "far"})
    assert ExtractTopicValue({"field": "to"}).apply(record).topic == "elsewhere"
    assert ExtractTopicKey({"field": "to"}).apply(record).topic == "far"
    assert ExtractTopicValue({}).apply(sink("whole")).topic == "whole"
    with pytest.raises(DataError, match="a text, not int"):
        ExtractTopicValue({"field": "n"}).apply(record)
    with pytest.raises(DataError, match="no topic's name in the field 'none' of Value"):
        ExtractTopicValue({"field": "none"}).apply(record)
    skipping = ExtractTopicValue({"field": "none", "skip.missing.or.null": "true"})
    assert skipping.apply(record) is record
    assert skipping.apply(sink(None)).topic == "t"


def test_a_chain_asks_predicates_and_stops_where_a_record_is_dropped() -> None:
    closed: list[str] = []

    class Noting(DropHeaders):
        def close(self) -> None:
            closed.append("it")

    chain = TransformationChain(
        [
            Stage(
                "mark",
                InsertHeader({"header": "seen", "value.literal": "1"}),
                RecordIsTombstone({}),
                negate=True,
            ),
            Stage("drop", Filter({}), HasHeaderKey({"name": "bad"})),
            Stage("clean", Noting({"headers": "old"})),
        ]
    )
    good = sink(1)
    good.headers.add("old", 1)
    changed = chain.apply(good)
    assert changed is not None
    assert [header.key for header in changed.headers] == ["seen"]
    assert [header.key for header in good.headers] == ["old"]
    tombstone = chain.apply(sink(None))
    assert tombstone is not None
    assert len(tombstone.headers) == 0
    bad = sink(1)
    bad.headers.add("bad", 1)
    assert chain.apply(bad) is None
    chain.close()
    assert closed == ["it"]


def test_a_source_record_stays_one() -> None:
    source = SourceRecord({"p": 1}, {"o": 2}, "t", value={"a": 1, "b": {"c": 2}})
    flat = FlattenValue({}).apply(source)
    assert isinstance(flat, SourceRecord)
    assert flat.value == {"a": 1, "b.c": 2}
    assert flat.source_offset == {"o": 2}
    assert source.value == {"a": 1, "b": {"c": 2}}


def test_a_renamed_field_that_is_there_already_is_refused() -> None:
    schema = struct_of({"a": INT32, "b": INT32})
    with pytest.raises(DataError, match="field name duplication b"):
        ReplaceFieldValue({"renames": "a:b"}).apply(sink(Struct(schema, {"a": 1, "b": 2}), schema))


def test_masked_values_are_values_of_their_fields() -> None:
    schema = struct_of({"n": Schema(Type.INT8), "s": STRING})
    record = sink(Struct(schema, {"n": 5, "s": "x"}), schema)
    masked = MaskFieldValue({"fields": "n,s", "replacement": "12"}).apply(record)
    assert masked.value == Struct(schema, {"n": 12, "s": "12"})
    assert record.value == Struct(schema, {"n": 5, "s": "x"})
