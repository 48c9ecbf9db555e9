"""The pages docs/connect-connectors.md, -converters.md and -transforms.md, from the definitions.

`python -m ottla.connect.reference connectors > docs/connect-connectors.md` and so on write them anew.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from ottla.connect.converters.avro import AvroConverter
from ottla.connect.converters.interface import Converter, HeaderConverter
from ottla.connect.converters.json import JsonConverter
from ottla.connect.converters.json_schema import JsonSchemaConverter
from ottla.connect.converters.primitive import ByteArrayConverter, LongConverter, StringConverter
from ottla.connect.converters.protobuf import ProtobufConverter
from ottla.connect.converters.simple_header import SimpleHeaderConverter
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigKey
from ottla.connect.plugins import CONNECTORS, Kind, Plugins
from ottla.connect.settings import setting_text
from ottla.connect.transforms.catalogue import PREDICATES, TRANSFORMS
from ottla.connect.transforms.interface import Predicate, Transformation

__all__ = ["connectors_page", "converters_page", "transforms_page"]

_CONNECTORS: Final = """\
# Connectors of Connect

<!-- Written by `python -m ottla.connect.reference connectors`; a test compares. -->

What comes with Ottla. Classes and settings have the names that they have elsewhere, so that a configuration
which was written for Kafka Connect can be pasted; the last part of a name is enough
(`"connector.class": "RedisSink"`). A library that a connector needs is installed with its extra
(`pip install 'ottla[connect-redis]'`): `connect-elasticsearch`,
`connect-http`, `connect-mongodb`, `connect-mqtt`, `connect-rabbitmq`, `connect-redis`,
`connect-sql`, `connect-objects`.

Sinks count a record as delivered when their target has it. What a target does not take for now is given to
it again, `max.retries` times, and nothing else is read meanwhile; what it does not take at all fails the
task, or goes where the [error policy](connect.md#errors) says. A record may come twice after a crash: where
the target can tell by its key, writing it again changes nothing.
"""

_TRANSFORMS: Final = """\
# Transforms and predicates of Connect

<!-- Written by `python -m ottla.connect.reference transforms`; a test compares. -->

A connector's records go through its transforms, one behind the other, on their way to a topic or from
one. These are Kafka's, under Kafka's names, so that a configuration written for Kafka Connect means the
same here:

```json
{
  "transforms": "route,mask",
  "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
  "transforms.route.regex": "db-(.*)",
  "transforms.route.replacement": "$1",
  "transforms.mask.type": "org.apache.kafka.connect.transforms.MaskField$Value",
  "transforms.mask.fields": "password",
  "transforms.mask.predicate": "people",
  "predicates": "people",
  "predicates.people.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
  "predicates.people.pattern": "people|users"
}
```

With `transforms.NAME.predicate` a transform is for records that the predicate holds of, with
`transforms.NAME.negate=true` for the others. `$Key` works on a record's key, `$Value` on its value.
Kafka's own classes answered several hundred questions, which the tests compare with.

A transform in Python is a function, of a module that the worker can import:

```python
def only_large(record):
    if record.value["amount"] < 1000:
        return None  # dropped
    return record.replace(topic="large-" + record.topic)
```

```json
{"transforms": "large", "transforms.large.type": "ottla.connect.transforms.Python",
 "transforms.large.function": "our_rules:only_large"}
```

Regular expressions are Java's as far as Python's have the same (`(?<name>...)` and `$1`, `${name}` in
replacements are understood); dates are written with the letters of Java's SimpleDateFormat, in English
and UTC.
"""

_CONVERTERS: Final = """\
# Converters of Connect

<!-- Written by `python -m ottla.connect.reference converters`; a test compares. -->

Converters make bytes of what connectors read, and what connectors write of bytes: `key.converter`,
`value.converter` and `header.converter`, with their settings behind that name and a dot. Classes are
called as in Kafka and Confluent's platform.

## Types

| Connect | Python | JSON (with its schema), JSON Schema | Avro | Protobuf |
| --- | --- | --- | --- | --- |
| INT8, INT16, INT32, INT64 | int | number | int, long (`connect.type` for the small ones) | int32, int64 |
| FLOAT32, FLOAT64 | float | number; `"NaN"`, `"Infinity"` | float, double | float, double |
| BOOLEAN, STRING | bool, str | true, false; text | boolean, string | bool, string |
| BYTES | bytes | base64 | bytes | bytes |
| ARRAY | list | array | array | repeated |
| MAP | dict | object; array of pairs (JSON Schema: of objects) where keys are no texts \
| map; array of records with key and value | repeated message with key and value |
| STRUCT | Struct | object | record | message |
| Decimal | decimal.Decimal | base64, or number with `decimal.format=numeric` | bytes, decimal \
| confluent.type.Decimal |
| Date, Time | datetime.date, datetime.time | days, milliseconds | int, date and time-millis \
| google.type.Date, .TimeOfDay |
| Timestamp | datetime.datetime with a time zone | milliseconds since 1970 | long, timestamp-millis \
| google.protobuf.Timestamp |

Times have milliseconds, as Kafka's have; what is finer is cut off when it is written. A value without a
schema is what JSON has.

## Otherwise than in Kafka

- A JSON value that is none of its schema is an error, with which the error policy deals. Kafka takes it
  for the nearest: a text in an int32 becomes 0, 300 in an int8 becomes 44, anything in a boolean false.
- Integers of more than 64 bits in JSON without a schema stay what they are; Kafka keeps their low bits.
- JSON is one value: a second one behind it is an error.
- Times are of the years 1 to 9999. Headers with dates before 1970 are written as dates (Kafka writes a
  time of day), and a text such as 2023-02-29 is a text (Kafka takes it for March 1).
- The Avro converter does not look up the registry's version of a schema: a struct's version is what
  `connect.version` says. Those of Protobuf and JSON Schema do not either.
- Schemas that are within themselves are refused: Connect's schemas here are values, without circles.
- In Protobuf a number above the range of a field is an error, arrays in arrays and nulls in arrays are, and
  so is a date or a decimal that is all of a value. `confluent/meta.proto` is imported where it is needed.
- `generalized.sum.type.support`, `preserve.additional.properties` and variants are not there.
"""


def connectors_page() -> str:
    """The text of docs/connect-connectors.md."""
    lines = [_CONNECTORS]
    plugins = [plugin for plugin in Plugins().built_in if plugin.kind in CONNECTORS]
    for kind, title in ((Kind.SOURCE, "Sources"), (Kind.SINK, "Sinks")):
        lines += [f"## {title}"]
        for plugin in sorted(plugins, key=lambda each: _title(each.name)):
            if plugin.kind is kind:
                class_ = Plugins().load(plugin.name, kind)
                lines += ["", f"### {class_.__name__}", "", inspect.cleandoc(class_.__doc__ or ""), ""]
                lines += [*_names((plugin.name,)), *_settings(class_().config())]
        lines += [""]
    return "\n".join(lines)


def transforms_page() -> str:
    """The text of docs/connect-transforms.md."""
    lines = [
        _TRANSFORMS,
        "## Transforms",
        *_sections(TRANSFORMS),
        "",
        "## Predicates",
        *_sections(PREDICATES),
    ]
    return "\n".join(lines) + "\n"


def converters_page() -> str:
    """The text of docs/connect-converters.md."""
    kafka = "org.apache.kafka.connect"
    numbers = tuple(
        f"{kafka}.converters.{kind}Converter"
        for kind in ("Boolean", "Double", "Float", "Integer", "Long", "Short")
    )
    described: Mapping[tuple[str, ...], type[Converter | HeaderConverter]] = {
        (f"{kafka}.json.JsonConverter",): JsonConverter,
        ("io.confluent.connect.avro.AvroConverter",): AvroConverter,
        ("io.confluent.connect.protobuf.ProtobufConverter",): ProtobufConverter,
        ("io.confluent.connect.json.JsonSchemaConverter",): JsonSchemaConverter,
        (f"{kafka}.storage.StringConverter",): StringConverter,
        (f"{kafka}.converters.ByteArrayConverter",): ByteArrayConverter,
        numbers: LongConverter,
        (f"{kafka}.storage.SimpleHeaderConverter",): SimpleHeaderConverter,
    }
    lines = [_CONVERTERS, "## Classes"]
    for names, plugin in described.items():
        title = _title(names[0]) if len(names) == 1 else "One number, or boolean"
        doc = (
            (plugin.__doc__ or "").partition("\n")[0] if len(names) == 1 else "As many bytes as the type has."
        )
        lines += ["", f"### {title}", "", doc, "", *_names(names), *_settings(plugin.CONFIG)]
    return "\n".join(lines) + "\n"


def _sections(names: Mapping[str, str]) -> Iterator[str]:
    for group, plugin in _grouped(names):
        yield from ("", f"### {_title(group[0])}", "", plugin.DOC, "")
        yield from _names(group)
        yield from _settings(plugin.CONFIG)


def _grouped(names: Mapping[str, str]) -> Iterator[tuple[list[str], type[Transformation | Predicate]]]:
    """Plugins with their names; those of key and value are one."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=_title):
        groups.setdefault(name.partition("$")[0], []).append(name)
    for group in groups.values():
        module, _, attribute = names[group[0]].partition(":")
        yield group, getattr(importlib.import_module(module), attribute)


def _title(name: str) -> str:
    return name.rpartition(".")[2].partition("$")[0]


def _names(names: Iterable[str]) -> Iterator[str]:
    yield "  \n".join(f"`{name}`" for name in names)


def _settings(definition: ConfigDef) -> Iterator[str]:
    keys = [key for key in definition.keys.values() if key.name != "converter.type"]
    if not keys:
        return
    yield from ("", "| setting | type | default | |", "| --- | --- | --- | --- |")
    for key in keys:
        yield f"| `{key.name}` | {key.type.value.lower()} | {_default(key)} | {_doc(key)} |"


def _default(key: ConfigKey) -> str:
    if key.default is REQUIRED:
        return "must be given"
    text = setting_text(key.default)
    return f"`{text}`" if text else ""


def _doc(key: ConfigKey) -> str:
    rule = "" if key.validator is None else str(key.validator).replace("<code>", "`").replace("</code>", "`")
    return f"{key.doc} ({rule})".replace("|", "\\|") if rule else key.doc.replace("|", "\\|")


_PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "connectors": connectors_page,
    "transforms": transforms_page,
    "converters": converters_page,
}

if __name__ == "__main__":
    sys.stdout.write(_PAGES[sys.argv[1]]())
