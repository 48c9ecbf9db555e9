"""Every answer of Kafka's Connect (tests/differential/connect) is ours, but for what deviations.py names."""

from __future__ import annotations

import base64
import datetime as dt
import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from tests.unit.connect.deviations import DEVIATIONS, deviation

from ottla.connect.config_infos import config_infos
from ottla.connect.converters import primitive
from ottla.connect.converters.interface import ConverterType, HeaderConverter, ValueConverter
from ottla.connect.converters.json import JsonConverter
from ottla.connect.converters.json_schemas import schema_from_json
from ottla.connect.converters.json_values import DecimalFormat, JsonRules, reader
from ottla.connect.converters.simple_header import SimpleHeaderConverter
from ottla.connect.data import (
    BOOLEAN,
    DATE,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    TIME,
    TIMESTAMP,
    Schema,
    SchemaAndValue,
    Struct,
    Type,
    Value,
    array_of,
    decimal_schema,
    map_of,
    project,
)
from ottla.connect.data.logical import days_of_date, millis_of_time, millis_of_timestamp
from ottla.connect.data.numbers import double_text, float_text
from ottla.connect.data.texts import value_text
from ottla.connect.data.values import convert, parse_text
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigKey, ConfigType, Importance
from ottla.connect.errors import ConnectError
from ottla.connect.records import ConnectHeaders, ConnectRecord, SinkRecord, SourceRecord, TimestampType
from ottla.connect.settings import setting_text
from ottla.connect.transforms.catalogue import PREDICATES, TRANSFORMS
from ottla.connect.transforms.interface import Predicate, Transformation

GOLDEN = Path(__file__).parent / "golden"
RULES = JsonRules(DecimalFormat.BASE64, replace_null_with_default=True)
CONVERTERS: Mapping[str, type[ValueConverter]] = {
    "org.apache.kafka.connect.json.JsonConverter": JsonConverter,
    "org.apache.kafka.connect.storage.StringConverter": primitive.StringConverter,
    "org.apache.kafka.connect.converters.BooleanConverter": primitive.BooleanConverter,
    "org.apache.kafka.connect.converters.ByteArrayConverter": primitive.ByteArrayConverter,
    "org.apache.kafka.connect.converters.DoubleConverter": primitive.DoubleConverter,
    "org.apache.kafka.connect.converters.FloatConverter": primitive.FloatConverter,
    "org.apache.kafka.connect.converters.IntegerConverter": primitive.IntegerConverter,
    "org.apache.kafka.connect.converters.LongConverter": primitive.LongConverter,
    "org.apache.kafka.connect.converters.ShortConverter": primitive.ShortConverter,
}
TARGETS: Mapping[str, Schema] = {
    "BOOLEAN": BOOLEAN, "INT8": INT8, "INT16": INT16, "INT32": INT32, "INT64": INT64, "FLOAT32": FLOAT32,
    "FLOAT64": FLOAT64, "STRING": STRING, "ARRAY": array_of(STRING), "MAP": map_of(STRING, STRING),
    "Date": DATE,
    "Time": TIME, "Timestamp": TIMESTAMP, "Decimal": decimal_schema(2),
}  # fmt: skip
JAVA_CLASSES = {
    "java.lang.Byte": "int", "java.lang.Short": "int", "java.lang.Integer": "int", "java.lang.Long": "int",
    "java.lang.Float": "float", "java.lang.Double": "float", "java.lang.Boolean": "bool",
    "java.lang.String": "str",
    "java.util.ArrayList": "list", "java.util.HashMap": "dict", "java.math.BigDecimal": "Decimal",
    "java.nio.HeapByteBuffer": "bytes", "[B": "bytes", "org.apache.kafka.connect.data.Struct": "Struct",
    "org.apache.kafka.connect.source.SourceRecord": "SourceRecord",
    "java.util.Collections$EmptyList": "list", "java.util.LinkedHashMap": "dict",
}  # fmt: skip


class Told:
    """Ours, asked as Kafka's Connect is in Answers.java."""

    def answer(self, ask: dict) -> dict:
        try:
            return getattr(self, ask["do"].replace(" ", "_"))(ask)
        except ConnectError as error:
            return {"error": str(error)}

    def parse(self, ask: dict) -> dict:
        return described(parse_text(ask["text"]))

    def print(self, ask: dict) -> dict:
        return {"text": value_text(*value(ask["value"]))}

    def convert(self, ask: dict) -> dict:
        source, one = value(ask["value"])
        to = TARGETS[ask["to"]]
        # Kafka's functions for these take null for null.
        if one is None and to.name is None and to.type not in (Type.ARRAY, Type.MAP):
            return {"value": None}
        return {"value": plain(to, convert(to, source, one))}

    def project(self, ask: dict) -> dict:
        target = schema_of(ask["schema"])
        source, one = value(ask["value"])
        assert source is not None
        assert target is not None
        return described(SchemaAndValue(target, project(source, one, target)))

    def write(self, ask: dict) -> dict:
        converter = CONVERTERS[ask["class"]](ask["config"], ConverterType.VALUE)
        return data_said(converter.from_connect("topic", *value(ask["value"])))

    def read(self, ask: dict) -> dict:
        converter = CONVERTERS[ask["class"]](ask["config"], ConverterType.VALUE)
        return described(converter.to_connect("topic", data_of(ask["data"])))

    def write_header(self, ask: dict) -> dict:
        return data_said(header_converter().from_connect_header("topic", "header", *value(ask["value"])))

    def read_header(self, ask: dict) -> dict:
        return described(header_converter().to_connect_header("topic", "header", data_of(ask["data"])))

    def transform(self, ask: dict) -> dict:
        transformation = loaded(TRANSFORMS[ask["class"]])(ask["config"])
        assert isinstance(transformation, Transformation)
        record = transformation.apply(record_of(ask["record"]))
        if record is None:
            return {"dropped": True}
        return {
            "topic": record.topic,
            "partition": record.partition,
            "timestamp": record.timestamp,
            "key": described(SchemaAndValue(record.key_schema, record.key)),
            "value": described(SchemaAndValue(record.value_schema, record.value)),
            "headers": [
                {**described(SchemaAndValue(one.schema, one.value)), "name": one.key}
                for one in record.headers
            ],
        }

    def test(self, ask: dict) -> dict:
        predicate = loaded(PREDICATES[ask["class"]])(ask["config"])
        assert isinstance(predicate, Predicate)
        return {"holds": predicate.test(record_of(ask["record"]))}

    def validate(self, ask: dict) -> dict:
        name = ask["class"]
        plugin = CONVERTERS.get(name) or loaded(TRANSFORMS.get(name) or PREDICATES[name])
        definition: ConfigDef = plugin.CONFIG
        infos = config_infos(
            "it", definition.keys, definition.validate(ask["config"]), definition.groups
        ).to_json()
        for config in infos["configs"]:
            del config["definition"]["documentation"]
        return infos

    def parse_setting(self, ask: dict) -> dict:
        key = ConfigKey("it", ConfigType[ask["type"]], REQUIRED, Importance.LOW, "")
        return {"text": setting_text(key.parsed(ask["text"]))}


def loaded(where: str) -> type:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def header_converter() -> HeaderConverter:
    return SimpleHeaderConverter({}, ConverterType.HEADER)


def schema_of(said: object) -> Schema | None:
    return schema_from_json(said, lambda schema, default: reader(schema, RULES)(default))


def value(said: dict) -> SchemaAndValue:
    schema = schema_of(said["schema"])
    return SchemaAndValue(
        schema, said["payload"] if schema is None else reader(schema, RULES)(said["payload"])
    )


def record_of(said: dict) -> ConnectRecord:
    key, of_value = value(said["key"]), value(said["value"])
    headers = ConnectHeaders()
    for header in said["headers"]:
        schema, one = value(header)
        headers.add(header["name"], one, schema)
    if said["source"]:
        return SourceRecord(
            {}, {}, said["topic"], key_schema=key.schema, key=key.value, value_schema=of_value.schema,
            value=of_value.value, timestamp=said["timestamp"], headers=headers,
        )  # fmt: skip
    return SinkRecord(
        said["topic"], 3, 17, key_schema=key.schema, key=key.value, value_schema=of_value.schema,
        value=of_value.value, timestamp=said["timestamp"], timestamp_type=TimestampType.CREATE_TIME,
        headers=headers,
    )  # fmt: skip


def data_of(said: str | None) -> bytes | None:
    return None if said is None else base64.b64decode(said)


def data_said(data: bytes | None) -> dict:
    return {"data": None if data is None else base64.b64encode(data).decode()}


def described(both: SchemaAndValue) -> dict:
    return {"schema": schema_said(both.schema), "value": plain(both.schema, both.value)}


def schema_said(schema: Schema | None) -> dict | None:
    if schema is None:
        return None
    said: dict = {"type": schema.type.value}
    if schema.optional:
        said["optional"] = True
    for name in ("name", "version", "doc", "parameters"):
        if getattr(schema, name) is not None:
            said[name] = getattr(schema, name)
    if schema.default is not None:
        said["default"] = plain(schema, schema.default)
    if schema.type is Type.STRUCT:
        said["fields"] = [[of.name, schema_said(of.schema)] for of in schema.fields]
    if schema.type is Type.MAP:
        said["keys"] = schema_said(schema.key_schema)
    if schema.type in (Type.MAP, Type.ARRAY):
        said["values"] = schema_said(schema.value_schema)
    return said


def plain(schema: Schema | None, one: Value) -> object:
    """A value as Answers.java describes it."""
    if isinstance(one, float):
        return {
            "float": float_text(one)
            if schema is not None and schema.type is Type.FLOAT32
            else double_text(one)
        }
    if isinstance(one, Decimal):
        return {"decimal": str(one)}
    if isinstance(one, dt.datetime):
        return {"millis": millis_of_timestamp(one)}
    if isinstance(one, dt.date):
        return {"millis": days_of_date(one) * 86_400_000}
    if isinstance(one, dt.time):
        return {"millis": millis_of_time(one)}
    if isinstance(one, bytes):
        return {"bytes": base64.b64encode(one).decode()}
    if isinstance(one, list):
        inner = schema.value_schema if schema is not None and schema.type is Type.ARRAY else None
        return [plain(inner, each) for each in one]
    if isinstance(one, dict):
        described = schema is not None and schema.type is Type.MAP
        keys, values = (
            (schema.key_schema, schema.value_schema) if schema is not None and described else (None, None)
        )
        pairs = [[plain(keys, key), plain(values, inner)] for key, inner in one.items()]
        return {"map": sorted(pairs, key=lambda pair: json.dumps(pair[0]))}
    if isinstance(one, Struct):
        pairs = zip(one.schema.fields, one.values, strict=True)
        return {"struct": {of.name: plain(of.schema, each) for of, each in pairs}}
    return one


def in_pythons_terms(answer: object) -> object:
    """An answer of Kafka's with Python's names of classes, and numbers in JSON texts as Python reads them."""
    if isinstance(answer, dict):
        if "error" in answer:
            text = re.sub(
                r"(?:class )*(\[B|(?:java|org\.apache)(?:\.\w+)+(?:\$\w+)?)",
                lambda found: JAVA_CLASSES.get(found[1], found[0]),
                answer["error"],
            )
            return {"error": text.replace("Invalid Java object", "Invalid Python object")}
        return {name: in_pythons_terms(one) for name, one in answer.items()}
    if isinstance(answer, list):
        return [in_pythons_terms(one) for one in answer]
    return answer


def same_json(one: object, other: object) -> bool:
    """Whether two bytes are the same JSON, number for number."""
    try:
        texts = [
            json.loads(base64.b64decode(str(each["data"])), parse_float=Decimal) for each in (one, other)
        ]  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return False
    return texts[0] == texts[1]


FILES = sorted(file.stem for file in GOLDEN.glob("*.jsonl"))


@dataclass
class Compared:
    questions: int = 0
    different: list[str] = field(default_factory=list)
    deviations: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def compared() -> dict[str, Compared]:
    told, results = Told(), {}
    for name in FILES:
        result = results[name] = Compared()
        for line in map(json.loads, (GOLDEN / f"{name}.jsonl").read_text().splitlines()):
            ask, answer = line["ask"], in_pythons_terms(line["answer"])
            ours = json.loads(json.dumps(told.answer(ask)))
            result.questions += 1
            if ours == answer or same_json(ours, answer):
                continue
            why = deviation(ask, answer, ours)
            if why is None:
                sides = {"asked": ask, "Kafka": answer, "ours": ours}
                result.different.append(
                    "\n".join(f"{side:6} {json.dumps(said)}" for side, said in sides.items())
                )
            else:
                result.deviations.add(why)
    return results


@pytest.mark.parametrize("name", FILES)
def test_ours_is_kafkas_answer(name: str, compared: dict[str, Compared]) -> None:
    result = compared[name]
    assert result.questions > 50
    assert not result.different, f"{len(result.different)} differ\n" + "\n\n".join(result.different)


def test_every_deviation_is_one(compared: dict[str, Compared]) -> None:
    assert len(FILES) > 5
    assert set().union(*(result.deviations for result in compared.values())) == set(DEVIATIONS)
