"""A record's way through transforms and converters, each step under the error policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ottla.client.columns.columns import Headers, Record
from ottla.connect.converters.interface import Converter, ConverterType, HeaderConverter
from ottla.connect.data.schema import SchemaAndValue
from ottla.connect.errors import ConfigError
from ottla.connect.plugins import Kind, Plugins
from ottla.connect.process.tolerance import Stage, Tolerance
from ottla.connect.records import (
    ConnectHeaders,
    ConnectRecord,
    Header,
    SinkRecord,
    SourceRecord,
    TimestampType,
)
from ottla.connect.transforms.interface import Predicate, Transformation

_WORD: Final = re.compile(r"\s*,\s*")


class Converters(NamedTuple):
    key: Converter
    value: Converter
    header: HeaderConverter


class Step(NamedTuple):
    """A transform, and when it applies: always, where the predicate holds, or (negated) where it does not."""

    transform: Transformation
    predicate: Predicate | None
    negated: bool

    def apply(self, record: Any) -> Any:
        if self.predicate is not None and self.predicate.test(record) == self.negated:
            return record
        return self.transform.apply(record)


def class_name(thing: object) -> str:
    kafka_name = getattr(type(thing), "kafka_name", None)
    return str(kafka_name) if kafka_name else f"{type(thing).__module__}.{type(thing).__qualname__}"


def make_converters(plugins: Plugins, config: Mapping[str, str], worker: Mapping[str, str]) -> Converters:
    """The connector's own; where it names none those of the worker, with the worker's settings for them."""

    def configured(name: str) -> tuple[str, dict[str, str]]:
        source = config if name in config else worker
        prefix = f"{name}."
        return source[name], {
            each.removeprefix(prefix): text for each, text in source.items() if each.startswith(prefix)
        }

    made: list[Converter] = []
    for kind in (ConverterType.KEY, ConverterType.VALUE):
        class_, own = configured(f"{kind.value}.converter")
        made.append(plugins.load(class_, Kind.CONVERTER)(own, kind))
    class_, own = configured("header.converter")
    return Converters(
        made[0], made[1], plugins.load(class_, Kind.HEADER_CONVERTER)(own, ConverterType.HEADER)
    )


def make_steps(plugins: Plugins, config: Mapping[str, str]) -> list[Step]:
    """The transforms of a connector, in order. ConfigError."""

    def settings(prefix: str) -> dict[str, str]:
        return {each.removeprefix(prefix): text for each, text in config.items() if each.startswith(prefix)}

    steps: list[Step] = []
    for alias in dict.fromkeys(each for each in _WORD.split(config.get("transforms", "").strip()) if each):
        own = settings(f"transforms.{alias}.")
        if "type" not in own:
            raise ConfigError(f"transforms={alias}: transforms.{alias}.type is not given")
        class_ = plugins.load(own.pop("type"), Kind.TRANSFORMATION)
        own.pop("plugin.version", None)
        named, negated = own.pop("predicate", None), own.pop("negate", "false").strip().lower() == "true"
        predicate: Predicate | None = None
        if named is not None:
            of_predicate = settings(f"predicates.{named}.")
            if "type" not in of_predicate:
                raise ConfigError(
                    f"transforms.{alias}.predicate={named}: predicates.{named}.type is not given"
                )
            of_predicate.pop("plugin.version", None)
            predicate = plugins.load(of_predicate.pop("type"), Kind.PREDICATE)(of_predicate)
        steps.append(Step(class_(own), predicate, negated))
    return steps


class _Pipeline:
    def __init__(self, converters: Converters, steps: Sequence[Step], tolerance: Tolerance) -> None:
        self.converters = converters
        self._steps = steps
        self.tolerance = tolerance

    def _transformed(self, record: Any, original: object) -> Any:
        """None where a transform has left it out. Skipped."""
        for step in self._steps:
            record = self.tolerance.execute(
                Stage.TRANSFORMATION,
                class_name(step.transform),
                original,
                lambda: step.apply(record),  # noqa: B023 - called at once
            )
            if record is None:
                return None
        return record

    def close(self) -> None:
        for step in self._steps:
            step.transform.close()
            if step.predicate is not None:
                step.predicate.close()
        for converter in self.converters:
            converter.close()


class Outgoing(NamedTuple):
    """What a record of a source is in its topic."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int | None
    record: SourceRecord


class SourcePipeline(_Pipeline):
    def convert(self, record: SourceRecord) -> Outgoing | None:
        """None where a transform has left it out. Skipped where the error policy does; ConnectError."""
        changed: ConnectRecord | None = self._transformed(record, record) if self._steps else record
        if changed is None:
            return None
        converters = self.converters
        topic = changed.topic
        try:
            key = converters.key.from_connect(topic, changed.key_schema, changed.key)
            value = converters.value.from_connect(topic, changed.value_schema, changed.value)
            headers = self._headers(changed) if len(changed.headers) else ()
        except Exception:  # noqa: BLE001 - again, step by step, under the error policy
            return self._carefully(changed, record)
        return Outgoing(topic, changed.partition, key, value, headers, changed.timestamp, record)

    def _headers(self, record: ConnectRecord) -> Headers:
        convert = self.converters.header.from_connect_header
        return tuple(
            (each.key, convert(record.topic, each.key, each.schema, each.value)) for each in record.headers
        )

    def _carefully(self, changed: ConnectRecord, record: SourceRecord) -> Outgoing:
        execute, converters, topic = self.tolerance.execute, self.converters, changed.topic
        headers = execute(
            Stage.HEADER_CONVERTER, class_name(converters.header), record, lambda: self._headers(changed)
        )
        key = execute(
            Stage.KEY_CONVERTER,
            class_name(converters.key),
            record,
            lambda: converters.key.from_connect(topic, changed.key_schema, changed.key),
        )
        value = execute(
            Stage.VALUE_CONVERTER,
            class_name(converters.value),
            record,
            lambda: converters.value.from_connect(topic, changed.value_schema, changed.value),
        )
        return Outgoing(topic, changed.partition, key, value, headers, changed.timestamp, record)


class SinkPipeline(_Pipeline):
    def convert(self, record: Record) -> SinkRecord | None:
        """None where a transform has left it out. Skipped where the error policy does; ConnectError."""
        converters, topic = self.converters, record.topic
        try:
            key = converters.key.to_connect(topic, record.key)
            value = converters.value.to_connect(topic, record.value)
            headers = self._headers(record) if record.headers else ConnectHeaders()
        except Exception:  # noqa: BLE001 - again, step by step, under the error policy
            key, value, headers = self._carefully(record)
        made = SinkRecord(
            topic,
            record.partition,
            record.offset,
            key_schema=key.schema,
            key=key.value,
            value_schema=value.schema,
            value=value.value,
            timestamp=None if record.timestamp < 0 else record.timestamp,
            timestamp_type=TimestampType(record.timestamp_type),
            headers=headers,
        )
        if not self._steps:
            return made
        changed: SinkRecord | None = self._transformed(made, record)
        return changed

    def _headers(self, record: Record) -> ConnectHeaders:
        convert = self.converters.header.to_connect_header
        headers = ConnectHeaders()
        for name, data in record.headers:
            found = convert(record.topic, name, data)
            headers.append(Header(name, found.schema, found.value))
        return headers

    def _carefully(self, record: Record) -> tuple[SchemaAndValue, SchemaAndValue, ConnectHeaders]:
        execute, converters, topic = self.tolerance.execute, self.converters, record.topic
        key = execute(
            Stage.KEY_CONVERTER,
            class_name(converters.key),
            record,
            lambda: converters.key.to_connect(topic, record.key),
        )
        value = execute(
            Stage.VALUE_CONVERTER,
            class_name(converters.value),
            record,
            lambda: converters.value.to_connect(topic, record.value),
        )
        headers = execute(
            Stage.HEADER_CONVERTER, class_name(converters.header), record, lambda: self._headers(record)
        )
        return key, value, headers
