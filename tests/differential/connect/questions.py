"""What Kafka's Connect is asked: every converter, transform and rule, over values of all types and wrong ones."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

__all__ = ["QUESTIONS"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_CONNECT = "org.apache.kafka.connect"
_KINDS = ("int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes")
_LOGICAL = f"{_CONNECT}.data"


def _of(kind: str, payload: Json, /, **said: Json) -> dict[str, Json]:
    return {"schema": {"type": kind, **said}, "payload": payload}


def _bare(payload: Json) -> dict[str, Json]:
    return {"schema": None, "payload": payload}


def _data(text: str | bytes | None) -> str | None:
    if text is None:
        return None
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _field(field: str, kind: str, /, **said: Json) -> dict[str, Json]:
    return {"field": field, "type": kind, **said}


_DECIMAL: dict[str, Json] = {"name": f"{_LOGICAL}.Decimal", "version": 1, "parameters": {"scale": "2"}}
_DATE: dict[str, Json] = {"name": f"{_LOGICAL}.Date", "version": 1}
_TIME: dict[str, Json] = {"name": f"{_LOGICAL}.Time", "version": 1}
_TIMESTAMP: dict[str, Json] = {"name": f"{_LOGICAL}.Timestamp", "version": 1}

TYPED: list[dict[str, Json]] = [
    _of("int8", -128),
    _of("int16", 300),
    _of("int32", 70000),
    _of("int64", 5_000_000_000),
    _of("float", 3.14),
    _of("float", 1e-10),
    _of("double", 0.1),
    _of("double", 1e21),
    _of("double", 1234567.0),
    _of("boolean", True),
    _of("string", "a\"b\\c é"),
    _of("string", "12.7"),
    _of("string", "true"),
    _of("string", ""),
    _of("bytes", "AP8="),
    _of("bytes", "AJY=", **_DECIMAL),
    _of("int32", 19000, **_DATE),
    _of("int32", 45_296_789, **_TIME),
    _of("int64", 1_709_209_800_005, **_TIMESTAMP),
    _of("int64", 1_709_164_800_000, **_TIMESTAMP),
    _of("array", [1, 2], items={"type": "int8"}),
    _of("array", ["a", None], items={"type": "string", "optional": True}),
    _of("map", {"a": 1}, keys={"type": "string"}, values={"type": "int32"}),
    _of("map", [[1, "x"]], keys={"type": "int32"}, values={"type": "string"}),
    _of("struct", {"n": 1, "s": None, "f": 2.5}, name="a.b",
        fields=[_field("n", "int32"), _field("s", "string", optional=True), _field("f", "float")]),
    _of("string", None, optional=True),
    _of("int32", None, optional=True, default=7),
]  # fmt: skip
BARE: list[dict[str, Json]] = [
    _bare(value) for value in (None, 5, -1.5, True, "text", "12.7", [], [1, "a", None], {"a": {"b": [1.5]}})
]


def _values() -> Iterator[dict[str, Json]]:
    texts = [
        "", " ", "null", "NULL", "true", "false", " true", "true}", "0", "-0", "127", "128", "-129", "32768",
        "2147483648", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1.0", "1.50", "0.1",
        "1e3", "1e-3", "1e39", "1e400", "1E+2", "+5", "--5", "1.", ".5", "-.5", "1e", "0x10", "1_000", "1,2",
        "1.23456789012", "100000000000000000000", "1e18", "1e19", "12345678901234567890.5", "NaN", "Infinity",
        "2024-02-29", "2024-02-29T12:30:00.005Z", "12:30:00.005Z", "12:30", "2024-02-29T12:30:00Z",
        "2024-02-29T12\\:30\\:00.005Z", "12\\:30\\:00.005Z", "2024-2-29", "1960-01-01", "[", "]", "[]", "{}", "{",
        "[1]", "[1,2]", "[1, 2 , 300]", "[1,2.5]", "[1,\"a\"]", "[\"a\",\"b\"]", "[\"a\\\"b\"]", "[null]", "[1,null]",
        "[null,1]", "[true,false]", "[[1],[2]]", "[[1],[300]]", "[1,,2]", "[,1]", "[1,]", "[1", "[a]", "[1 2]",
        "[\"2024-02-29\"]", "[2024-02-29]", "[12:30:00.005Z]", "[1]x", "[1] ", " [1]", "[ ]", "[\"\"]", "[\" \"]",
        "{\"a\":1}", "{\"a\":1,\"b\":300}", "{\"a\":1 \"b\":2}", "{\"a\":\"x\"}", "{\"a\":null}", "{\"a\":null,\"b\":1}",
        "{1:2}", "{true:1}", "{a:1}", "{\"a\"}", "{\"a\":}", "{null:1}", "{\"a\":[1,2],\"b\":[3]}", "{\"a\":{\"b\":1}}",
        "{\"a\":1,}", "{,}", "{\"a\":1", "a,b", "a:b", "a\\,b", "\"quoted\"", "\"1\"", "plain text", "é",
        "5 apples", "5:6", "2024-02-29 and on", "\t7\t",
    ]  # fmt: skip
    for text in texts:
        yield {"do": "parse", "text": text}
    for value in (*TYPED, *BARE):
        yield {"do": "print", "value": value}
    targets = (
        "BOOLEAN", "INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "STRING", "ARRAY", "MAP", "Date", "Time",
        "Timestamp", "Decimal",
    )  # fmt: skip
    convertible = [
        *TYPED,
        *BARE,
        *(_bare(text) for text in ("300", "1e3", "[1]", '{"a":1}', "2024-02-29", "x")),
    ]
    for value, target in itertools.product(convertible, targets):
        if not (
            target in ("Date", "Time", "Timestamp", "Decimal", "ARRAY", "MAP") and value["payload"] is None
        ):
            yield {"do": "convert", "to": target, "value": value}


def _projections() -> Iterator[dict[str, Json]]:
    numbers = [_of(kind, 5) for kind in ("int8", "int16", "int32", "int64", "float", "double")]
    plain: list[Json] = [{"type": kind} for kind in _KINDS]
    for value, schema in itertools.product(numbers, plain):
        yield {"do": "project", "value": value, "schema": schema}
    for value in TYPED:
        yield {"do": "project", "value": value, "schema": value["schema"]}
    struct = _of("struct", {"a": 1, "b": "x"}, fields=[_field("a", "int8"), _field("b", "string")])
    for fields in (
        [_field("a", "int64")],
        [_field("a", "int64"), _field("c", "int8", default=3)],
        [_field("c", "int8", optional=True)],
        [_field("c", "int8")],
        [_field("a", "string")],
    ):
        yield {"do": "project", "value": struct, "schema": {"type": "struct", "fields": fields}}
    yield {
        "do": "project",
        "value": _of("int8", None, optional=True),
        "schema": {"type": "int8", "default": 9},
    }
    yield {"do": "project", "value": _of("int8", 1, optional=True), "schema": {"type": "int8"}}
    yield {"do": "project", "value": _of("int8", 1, name="a"), "schema": {"type": "int8", "name": "b"}}


def _json_converter() -> Iterator[dict[str, Json]]:
    name = f"{_CONNECT}.json.JsonConverter"
    configs: list[dict[str, Json]] = [
        {}, {"decimal.format": "numeric"}, {"schemas.enable": "false"}, {"replace.null.with.default": "false"},
        {"schemas.enable": "false", "decimal.format": "NUMERIC"},
    ]  # fmt: skip
    for config, value in itertools.product(configs, (*TYPED, *BARE)):
        yield {"do": "write", "class": name, "config": config, "value": value}
    for config, value in itertools.product(configs[:2], TYPED):
        yield {"do": "read", "class": name, "config": config, "data": _data(json.dumps(value))}
    bare = [
        "null", "5", "-1.5e3", "123456789012345678901234567890", "1e400", "true", "\"x\"", "[1,2.5]", "{\"a\":{\"b\":null}}",
        "", " ", "{", "[1", "nope", "{\"a\":1,\"a\":2}", "1 2", "007", "NaN", "\ufeff1", "\"\\u00e9\"", "'a'",
    ]  # fmt: skip
    for text in bare:
        yield {"do": "read", "class": name, "config": {"schemas.enable": "false"}, "data": _data(text)}
    yield {"do": "read", "class": name, "config": {}, "data": None}
    envelopes = [
        "null", "5", "{}", "{\"schema\":null}", "{\"schema\":null,\"payload\":1,\"more\":2}",
        "{\"schema\":null,\"payload\":{\"a\":1}}", "{\"schema\":{},\"payload\":1}", "{\"schema\":5,\"payload\":1}",
        "{\"schema\":{\"type\":\"int9\"},\"payload\":1}", "{\"schema\":{\"type\":\"array\"},\"payload\":[]}",
        "{\"schema\":{\"type\":\"map\"},\"payload\":{}}",
        "{\"schema\":{\"type\":\"map\",\"keys\":{\"type\":\"string\"}},\"payload\":{}}",
        "{\"schema\":{\"type\":\"struct\"},\"payload\":{}}", "{\"schema\":{\"type\":\"struct\",\"fields\":[{}]},\"payload\":{}}",
        "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"field\":\"a\"}]},\"payload\":{}}",
        "{\"schema\":{\"type\":\"int8\",\"parameters\":{\"a\":1}},\"payload\":1}",
        "{\"schema\":{\"type\":\"int8\",\"version\":\"x\",\"name\":5,\"doc\":[]},\"payload\":1}",
        "{\"schema\":{\"type\":\"string\",\"doc\":\"d\",\"parameters\":{\"a\":\"b\"},\"default\":\"z\"},\"payload\":null}",
        "{\"schema\":{\"type\":\"int32\",\"default\":null},\"payload\":1}",
        "{\"schema\":{\"type\":\"int32\",\"optional\":true,\"default\":null},\"payload\":1}",
    ]  # fmt: skip
    for text in envelopes:
        yield {"do": "read", "class": name, "config": {}, "data": _data(text)}
    wrong: list[Json] = [None, 300, 1.5, "text", True, [], {}, [[1]], [[1, 2, 3]]]
    described: list[dict[str, Json]] = [
        *({"type": kind} for kind in _KINDS),
        {"type": "bytes", **_DECIMAL}, {"type": "int32", **_DATE}, {"type": "int32", **_TIME},
        {"type": "int64", **_TIMESTAMP}, {"type": "array", "items": {"type": "int32"}},
        {"type": "map", "keys": {"type": "string"}, "values": {"type": "int32"}},
        {"type": "map", "keys": {"type": "int32"}, "values": {"type": "int32"}},
        {"type": "struct", "fields": [_field("a", "int32"), _field("b", "string", optional=True)]},
    ]  # fmt: skip
    for schema, payload in itertools.product(described, wrong):
        text = json.dumps({"schema": schema, "payload": payload})
        yield {"do": "read", "class": name, "config": {}, "data": _data(text)}
    content: dict[str, Json] = {
        "schema.content": json.dumps({"type": "struct", "fields": [_field("a", "int32")]})
    }
    for text in ('{"a":1}', '{"a":1,"b":2}', "{}", "5", "null"):
        yield {"do": "read", "class": name, "config": content, "data": _data(text)}


def _converters() -> Iterator[dict[str, Json]]:
    for kind in ("Boolean", "ByteArray", "Double", "Float", "Integer", "Long", "Short"):
        name = f"{_CONNECT}.converters.{kind}Converter"
        for value in (*TYPED, *BARE):
            yield {"do": "write", "class": name, "config": {}, "value": value}
        for data in (None, b"", b"\0", b"\1", b"\2", b"\1\2", b"\1\2\3\4", b"\1\2\3\4\5\6\7\x08"):
            yield {"do": "read", "class": name, "config": {}, "data": _data(data)}
    text = f"{_CONNECT}.storage.StringConverter"
    for value in (
        one for one in TYPED if one["schema"] != {"type": "bytes"}
    ):  # printed as where it is in memory
        yield {"do": "write", "class": text, "config": {}, "value": value}
    for data in (None, b"", b"abc", b"\xc3\xa9", b"\xff"):
        for config in ({}, {"converter.encoding": "ISO-8859-1"}):
            yield {"do": "read", "class": text, "config": dict(config), "data": _data(data)}
    simple = f"{_CONNECT}.storage.SimpleHeaderConverter"
    for value in (*TYPED, *BARE):
        yield {"do": "write header", "class": simple, "config": {}, "value": value}
    for data in (None, b"", b"12", b"[1,2]", b'{"a":1}', b"\xc3\xa9", b"null", b"1.5", b"2024-02-29"):
        yield {"do": "read header", "class": simple, "config": {}, "data": _data(data)}


_PERSON = _of("struct", {"id": 7, "name": "Ada", "born": 19000, "score": 1.5, "nick": None, "ok": True, "raw": "AP8=",
                         "address": {"street": "Low", "zip": None}, "tags": ["a"], "price": "AJY=",
                         "seen": 1_709_209_800_005, "text": "12"},
    name="person", version=2, doc="someone",
    fields=[_field("id", "int32"), _field("name", "string"), _field("born", "int32", **_DATE),
            _field("score", "double"), _field("nick", "string", optional=True, default="none"), _field("ok", "boolean"),
            _field("raw", "bytes"),
            _field("address", "struct", optional=True,
                   fields=[_field("street", "string"), _field("zip", "int32", optional=True, default=9)]),
            _field("tags", "array", items={"type": "string"}), _field("price", "bytes", **_DECIMAL),
            _field("seen", "int64", **_TIMESTAMP), _field("text", "string")])  # fmt: skip
_BARE_PERSON = _bare({"id": 7, "name": "Ada", "score": 1.5, "nick": None, "ok": True, "tags": ["a"], "text": "12",
                      "address": {"street": "Low", "zip": None}, "seen": 1_709_209_800_005})  # fmt: skip


def _record(value: Json, **changed: Json) -> dict[str, Json]:
    return {"topic": "orders-2024", "key": _of("string", "k"), "value": value, "timestamp": 1_709_209_800_005,
            "source": False,
            "headers": [{"name": "h", **_of("string", "one")}, {"name": "g", **_of("int32", 2)},
                        {"name": "h", **_of("string", "two")}], **changed}  # fmt: skip


_RECORDS: list[dict[str, Json]] = [
    _record(_PERSON),
    _record(_BARE_PERSON),
    _record(_bare(None)),
    _record(_of("string", None, optional=True)),
    _record(_of("string", "12")),
    _record(_bare("12")),
    _record(_bare(["a"])),
    _record(_of("int64", 1_709_209_800_005)),
]
_TRANSFORMS: Mapping[str, list[dict[str, Json]]] = {
    "Cast$Value": [
        {}, {"spec": ""}, {"spec": "int9"}, {"spec": "id:int9"}, {"spec": "int8,int16"}, {"spec": "a:b:c"},
        {"spec": "bytes"}, {"spec": "id:array"}, {"spec": "id:string,score:int32,ok:int8,text:float32"},
        {"spec": "id:int8,score:float32,ok:string,text:int64"}, {"spec": "born:string,seen:string,price:string,raw:string"},
        {"spec": "born:int32,seen:int64,price:float64"}, {"spec": "price:int32"}, {"spec": "raw:int32"},
        {"spec": "name:int32"}, {"spec": "name:boolean,text:boolean,score:boolean"}, {"spec": "address:string"},
        {"spec": "tags:string"}, {"spec": "nick:string"}, {"spec": "nick:string", "replace.null.with.default": "false"},
        {"spec": "int8"}, {"spec": "int32"}, {"spec": "string"}, {"spec": "float64"}, {"spec": "boolean"}, {"spec": "none:int8"},
        {"spec": "id:int8:"}, {"spec": " id : int8 "},
    ],
    "Cast$Key": [{"spec": "string"}, {"spec": "int8"}],
    "DropHeaders": [{}, {"headers": ""}, {"headers": "h"}, {"headers": "g,h"}, {"headers": "none"}],
    "ExtractField$Value": [
        {}, {"field": "id"}, {"field": "none"}, {"field": "nick"}, {"field": "nick", "replace.null.with.default": "false"},
        {"field": "address.street"}, {"field": "address.street", "field.syntax.version": "V2"},
        {"field": "address.none", "field.syntax.version": "V2"}, {"field": "`address`.zip", "field.syntax.version": "v2"},
        {"field": "name.x", "field.syntax.version": "V2"}, {"field": "`address", "field.syntax.version": "V2"},
        {"field": "id", "field.syntax.version": "V3"}, {"field": "none.x", "field.syntax.version": "V2"},
    ],
    "ExtractField$Key": [{"field": "id"}],
    "Filter": [{}],
    "Flatten$Value": [{}, {"delimiter": "_"}],
    "HeaderFrom$Value": [
        {}, {"fields": "id", "headers": "", "operation": "move"}, {"fields": "id", "headers": "a,b", "operation": "move"},
        {"fields": "id", "headers": "a", "operation": "steal"}, {"fields": "id,name", "headers": "a,b", "operation": "move"},
        {"fields": "id,nick", "headers": "a,b", "operation": "copy"},
        {"fields": "nick", "headers": "b", "operation": "copy", "replace.null.with.default": "false"},
    ],
    "HoistField$Value": [{}, {"field": "it"}],
    "HoistField$Key": [{"field": "it"}],
    "InsertField$Value": [
        {}, {"topic.field": "t"}, {"topic.field": "t!", "partition.field": "p?", "offset.field": "o", "timestamp.field": "ts!"},
        {"static.field": "s"}, {"static.field": "s", "static.value": "v"}, {"static.value": "v"}, {"topic.field": "id"},
        {"topic.field": "t", "replace.null.with.default": "false"},
    ],
    "InsertField$Key": [{"topic.field": "t"}],
    "InsertHeader": [
        {}, {"header": "x"}, {"header": "x", "value.literal": "12"}, {"header": "x", "value.literal": "text"},
        {"header": "h", "value.literal": "[1,2]"}, {"header": "x", "value.literal": ""},
    ],
    "MaskField$Value": [
        {}, {"fields": ""}, {"fields": "id,name,score,ok,tags,nick,born,seen"}, {"fields": "raw"}, {"fields": "address"},
        {"fields": "id,name,score", "replacement": "5"}, {"fields": "id", "replacement": "x"}, {"fields": "ok", "replacement": "5"},
        {"fields": "id", "replacement": ""}, {"fields": "id,id"}, {"fields": "none"}, {"fields": "price", "replacement": "7.25"},
    ],
    "RegexRouter": [
        {}, {"regex": "(", "replacement": "x"}, {"regex": "orders-(.*)", "replacement": "old-$1"},
        {"regex": "orders", "replacement": "x"}, {"regex": "(?<a>[a-z]+)-(\\d+)", "replacement": "$2-${a}"},
        {"regex": ".*", "replacement": "$2"}, {"regex": "o|orders-2024", "replacement": "x"}, {"regex": ".*", "replacement": "\\$1"},
        {"regex": "(.)(.*)", "replacement": "$12"}, {"regex": ".*", "replacement": "a$"}, {"regex": ".*", "replacement": ""},
    ],
    "ReplaceField$Value": [
        {}, {"exclude": "id,raw"}, {"include": "id,name"}, {"include": "id,name", "exclude": "id"}, {"renames": "id:number,name:title"},
        {"renames": "id"}, {"renames": "id:a:b"}, {"renames": "id:name"}, {"include": "nick", "replace.null.with.default": "false"},
        {"include": "nick"}, {"include": "none"}, {"renames": "nick:id,id:nick", "include": "id,nick"},
    ],
    "SetSchemaMetadata$Value": [
        {}, {"schema.name": "n"}, {"schema.version": "5"}, {"schema.name": "n", "schema.version": "5"}, {"schema.version": "x"},
        {"schema.name": "n", "replace.null.with.default": "false"},
    ],
    "TimestampConverter$Value": [
        {}, {"target.type": "x"}, {"target.type": "string"}, {"target.type": "string", "format": "nope"},
        {"target.type": "unix", "unix.precision": "hours"},
        *({"target.type": target, "field": field, "format": "yyyy-MM-dd HH:mm:ss.SSS"}
          for target in ("string", "unix", "Date", "Time", "Timestamp") for field in ("", "seen", "born", "none", "name")),
        *({"target.type": "unix", "field": "seen", "unix.precision": precision}
          for precision in ("seconds", "microseconds", "nanoseconds")),
        {"target.type": "Timestamp", "field": "text", "format": "dd"}, {"target.type": "Timestamp", "format": "HH"},
        {"target.type": "string", "field": "seen", "format": "EEE, d MMM yyyy h:mm a z"},
        {"target.type": "string", "field": "seen", "format": "yy-M-d'T'H:m:s.S Z X"},
        {"target.type": "string", "field": "seen", "format": "DDD kk KK u '' EEEE MMMM"},
        {"target.type": "unix", "field": "id"},
    ],
    "TimestampRouter": [
        {}, {"topic.format": "x-${timestamp}-${topic}", "timestamp.format": "yyyy'Q'MM"}, {"timestamp.format": "jj"},
    ],
    "ValueToKey": [
        {}, {"fields": ""}, {"fields": "id"}, {"fields": "id,name"}, {"fields": "none"}, {"fields": "nick"},
        {"fields": "nick", "replace.null.with.default": "false"}, {"fields": "address.street", "field.syntax.version": "V2"},
    ],
}  # fmt: skip
_PREDICATES: Mapping[str, list[dict[str, Json]]] = {
    "HasHeaderKey": [{}, {"name": ""}, {"name": "h"}, {"name": "none"}],
    "RecordIsTombstone": [{}],
    "TopicNameMatches": [
        {},
        {"pattern": ""},
        {"pattern": "("},
        {"pattern": "orders.*"},
        {"pattern": "orders"},
    ],
}


def _transforms() -> Iterator[dict[str, Json]]:
    for name, configs in _TRANSFORMS.items():
        # Each configuration with a struct and a map, some of them with everything that is neither.
        pairs = (*itertools.product(configs, _RECORDS[:2]), *itertools.product(configs[-3:], _RECORDS[2:]))
        for config, record in pairs:
            yield {
                "do": "transform",
                "class": f"{_CONNECT}.transforms.{name}",
                "config": config,
                "record": record,
            }
    other = [_record(_PERSON, timestamp=None), _record(_PERSON, source=True)]
    for name, record in itertools.product(("InsertField$Value", "TimestampRouter"), other):
        config: dict[str, Json] = {"offset.field": "o", "timestamp.field": "ts!", "partition.field": "p"}
        yield {
            "do": "transform",
            "class": f"{_CONNECT}.transforms.{name}",
            "config": config,
            "record": record,
        }
    for name, configs in _PREDICATES.items():
        for config, record in itertools.product(configs, _RECORDS[:3]):
            yield {
                "do": "test",
                "class": f"{_CONNECT}.transforms.predicates.{name}",
                "config": config,
                "record": record,
            }


def _definitions() -> Iterator[dict[str, Json]]:
    for name, configs in _TRANSFORMS.items():
        for config in configs:
            yield {"do": "validate", "class": f"{_CONNECT}.transforms.{name}", "config": config}
    for name, configs in _PREDICATES.items():
        for config in configs:
            yield {"do": "validate", "class": f"{_CONNECT}.transforms.predicates.{name}", "config": config}
    configs: list[dict[str, Json]] = [
        {}, {"converter.type": "key"}, {"converter.type": "x"}, {"converter.type": "value", "schemas.enable": "maybe"},
        {"schemas.cache.size": "many", "decimal.format": "text"},
    ]  # fmt: skip
    converters = (
        "json.JsonConverter", "storage.StringConverter", "converters.LongConverter", "converters.BooleanConverter",
        "converters.ByteArrayConverter",
    )  # fmt: skip
    for name, config in itertools.product(converters, configs):
        yield {"do": "validate", "class": f"{_CONNECT}.{name}", "config": config}
    texts = (
        "", " ", "true", " True ", "yes", "0", " 12 ", "+7", "-32769", "2147483648", "9223372036854775808", "1.5", "1e3",
        "1_0", "0x1", "NaN", "Infinity", "1f", "a, b ,c", "a,,b", ",", "secret",
    )  # fmt: skip
    types = ("BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "PASSWORD")
    for kind, text in itertools.product(types, texts):
        yield {"do": "parse setting", "type": kind, "text": text}


def _all(questions: Iterable[dict[str, Json]]) -> list[dict[str, Json]]:
    return list(questions)


QUESTIONS: Mapping[str, list[dict[str, Json]]] = {
    "values": _all(_values()),
    "projections": _all(_projections()),
    "json": _all(_json_converter()),
    "converters": _all(_converters()),
    "transforms": _all(_transforms()),
    "definitions": _all(_definitions()),
}
"""By the name of the file with their answers."""
