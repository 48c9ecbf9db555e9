"""What can be named in a configuration: connectors, converters, transforms, predicates; by which names, and
where.

A plugin is named by its class as Kafka or Confluent calls it, by the last part of that (`FileStreamSource`
for `...FileStreamSourceConnector`), or by its place in Python (`package.module.Class` or
`package.module:Class`). Others' packages bring theirs by entry points of the groups
`ottla.connect.connectors`, `.converters`, `.transforms` and `.predicates`, whose name is the plugin's.
Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from enum import Enum
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, NamedTuple

from ottla.connect.errors import ConfigError
from ottla.connect.transforms.catalogue import PREDICATES, TRANSFORMS
from ottla.connect.version import VERSION

__all__ = ["Kind", "Plugin", "Plugins"]

_KAFKA: Final = "org.apache.kafka.connect"
_GROUP: Final = "ottla.connect."


class Kind(Enum):
    """As `GET /connector-plugins` says it."""

    SINK = "sink"
    SOURCE = "source"
    TRANSFORMATION = "transformation"
    PREDICATE = "predicate"
    CONVERTER = "converter"
    HEADER_CONVERTER = "header_converter"


CONNECTORS: Final = (Kind.SINK, Kind.SOURCE)


class Plugin(NamedTuple):
    name: str
    """The one that it is shown under"""
    kind: Kind
    target: str
    """`module:Class`"""
    version: str | None = VERSION
    aliases: tuple[str, ...] = ()


def _converters() -> Iterable[Plugin]:
    for kind in (Kind.CONVERTER, Kind.HEADER_CONVERTER):
        for short in ("Boolean", "ByteArray", "Double", "Float", "Integer", "Long", "Short"):
            target = f"ottla.connect.converters.primitive:{short}Converter"
            yield Plugin(f"{_KAFKA}.converters.{short}Converter", kind, target)
        yield Plugin(f"{_KAFKA}.json.JsonConverter", kind, "ottla.connect.converters.json:JsonConverter")
        yield Plugin(
            f"{_KAFKA}.storage.StringConverter", kind, "ottla.connect.converters.primitive:StringConverter"
        )
    yield Plugin(
        f"{_KAFKA}.storage.SimpleHeaderConverter",
        Kind.HEADER_CONVERTER,
        "ottla.connect.converters.simple_header:SimpleHeaderConverter",
    )


_CONNECTORS: Final = {
    f"{_KAFKA}.file.FileStreamSinkConnector": (Kind.SINK, "files:FileStreamSinkConnector"),
    f"{_KAFKA}.file.FileStreamSourceConnector": (Kind.SOURCE, "files:FileStreamSourceConnector"),
    "io.confluent.connect.jdbc.JdbcSinkConnector": (Kind.SINK, "sql.sink:SqlSinkConnector"),
    "io.confluent.connect.jdbc.JdbcSourceConnector": (Kind.SOURCE, "sql.source:SqlSourceConnector"),
    "com.redis.kafka.connect.RedisSinkConnector": (Kind.SINK, "redis.sink:RedisSinkConnector"),
    "com.redis.kafka.connect.RedisStreamSourceConnector": (
        Kind.SOURCE,
        "redis.sources:RedisStreamSourceConnector",
    ),
    "com.redis.kafka.connect.RedisKeysSourceConnector": (
        Kind.SOURCE,
        "redis.sources:RedisKeysSourceConnector",
    ),
    "com.github.jcustenborder.kafka.connect.redis.RedisSinkConnector": (
        Kind.SINK,
        "redis.sink:PlainRedisSinkConnector",
    ),
    "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector": (
        Kind.SINK,
        "elasticsearch.sink:ElasticsearchSinkConnector",
    ),
    "io.aiven.kafka.connect.opensearch.OpensearchSinkConnector": (
        Kind.SINK,
        "elasticsearch.sink:OpenSearchSinkConnector",
    ),
    "com.mongodb.kafka.connect.MongoSinkConnector": (Kind.SINK, "mongodb.sink:MongoSinkConnector"),
    "com.mongodb.kafka.connect.MongoSourceConnector": (Kind.SOURCE, "mongodb.source:MongoSourceConnector"),
    "io.confluent.connect.mqtt.MqttSinkConnector": (Kind.SINK, "mqtt:MqttSinkConnector"),
    "io.confluent.connect.mqtt.MqttSourceConnector": (Kind.SOURCE, "mqtt:MqttSourceConnector"),
    "io.confluent.connect.rabbitmq.sink.RabbitMQSinkConnector": (Kind.SINK, "rabbitmq:RabbitMQSinkConnector"),
    "io.confluent.connect.rabbitmq.RabbitMQSourceConnector": (
        Kind.SOURCE,
        "rabbitmq:RabbitMQSourceConnector",
    ),
    "io.confluent.connect.syslog.SyslogSourceConnector": (Kind.SOURCE, "syslog.source:SyslogSourceConnector"),
    "com.datadoghq.connect.logs.DatadogLogsSinkConnector": (Kind.SINK, "datadog:DatadogLogsSinkConnector"),
    "com.splunk.kafka.connect.SplunkSinkConnector": (Kind.SINK, "splunk:SplunkSinkConnector"),
    "ottla.connect.connectors.prometheus.PrometheusRemoteWriteSinkConnector": (
        Kind.SINK,
        "prometheus:PrometheusRemoteWriteSinkConnector",
    ),
    "io.confluent.connect.http.HttpSinkConnector": (Kind.SINK, "http.sink:HttpSinkConnector"),
    "io.confluent.connect.http.HttpSourceConnector": (Kind.SOURCE, "http.source:HttpSourceConnector"),
    "io.confluent.connect.s3.S3SinkConnector": (Kind.SINK, "objects.sink:ObjectSinkConnector"),
    "ottla.connect.DltSinkConnector": (Kind.SINK, "others.dlt_sink:DltSinkConnector"),
    "ottla.connect.DltSourceConnector": (Kind.SOURCE, "others.dlt_source:DltSourceConnector"),
    "ottla.connect.SingerSinkConnector": (Kind.SINK, "others.singer_sink:SingerSinkConnector"),
    "ottla.connect.SingerSourceConnector": (Kind.SOURCE, "others.singer_source:SingerSourceConnector"),
}
"""By the names that they have elsewhere; targets are below `ottla.connect.connectors`"""
_ALIASES: Final = {
    "io.confluent.connect.jdbc.JdbcSinkConnector": ("SqlSink", "SqlSinkConnector"),
    "io.confluent.connect.jdbc.JdbcSourceConnector": ("SqlSource", "SqlSourceConnector"),
}


def _connectors() -> Iterable[Plugin]:
    for name, (kind, target) in _CONNECTORS.items():
        yield Plugin(name, kind, f"ottla.connect.connectors.{target}", aliases=_ALIASES.get(name, ()))


_BUILT_IN: Final = (
    *_connectors(),
    Plugin(
        "io.debezium.connector.postgresql.PostgresConnector",
        Kind.SOURCE,
        "ottla.cdc.postgres.connector:PostgresConnector",
    ),
    Plugin(
        "io.confluent.connect.avro.AvroConverter",
        Kind.CONVERTER,
        "ottla.connect.converters.avro:AvroConverter",
    ),
    Plugin(
        "io.confluent.connect.protobuf.ProtobufConverter",
        Kind.CONVERTER,
        "ottla.connect.converters.protobuf:ProtobufConverter",
    ),
    Plugin(
        "io.confluent.connect.json.JsonSchemaConverter",
        Kind.CONVERTER,
        "ottla.connect.converters.json_schema:JsonSchemaConverter",
    ),
    *_converters(),
    *(Plugin(name, Kind.TRANSFORMATION, target) for name, target in TRANSFORMS.items()),
    *(Plugin(name, Kind.PREDICATE, target) for name, target in PREDICATES.items()),
)

_SUFFIXES: Final = ("Connector", "Converter", "HeaderConverter")


class Plugins:
    """All that there is on this machine."""

    built_in: Final = _BUILT_IN

    @cached_property
    def all(self) -> tuple[Plugin, ...]:
        return (*_BUILT_IN, *_installed())

    @cached_property
    def _by_name(self) -> dict[tuple[Kind, str], Plugin]:
        found: dict[tuple[Kind, str], Plugin] = {}
        for plugin in self.all:
            short = plugin.name.rpartition(".")[2]
            names = [plugin.name, plugin.target, plugin.target.replace(":", "."), short, *plugin.aliases]
            names += [
                short.removesuffix(each) for each in _SUFFIXES if short.endswith(each) and short != each
            ]
            for name in names:
                found.setdefault((plugin.kind, name), plugin)
        return found

    def of(self, *kinds: Kind) -> list[Plugin]:
        """In the order of the kinds, each kind by name."""
        return [
            each for kind in kinds for each in sorted(self.all, key=lambda one: one.name) if each.kind is kind
        ]

    def find(self, name: str, *kinds: Kind) -> Plugin | None:
        """One of these kinds by any of its names; a class that is nobody's plugin by its place in Python."""
        for kind in kinds or tuple(Kind):
            if (kind, name) in self._by_name:
                return self._by_name[kind, name]
        return self._by_place(name, kinds or tuple(Kind))

    def _by_place(self, name: str, kinds: Iterable[Kind]) -> Plugin | None:
        module, _, qualified = name.partition(":") if ":" in name else name.rpartition(".")
        if not module or not all(part.isidentifier() for part in f"{module}.{qualified}".split(".")):
            return None
        try:
            class_ = _resolve(f"{module}:{qualified}")
        except ConfigError:
            return None
        kind = kind_of(class_)
        return (
            None if kind is None or kind not in kinds else Plugin(name, kind, f"{module}:{qualified}", None)
        )

    def load(self, name: str, *kinds: Kind) -> Any:
        """The class. ConfigError where there is none, saying what there is."""
        plugin = self.find(name, *kinds)
        if plugin is None:
            raise ConfigError(self.unknown(name, *kinds))
        return _resolve(plugin.target)

    def unknown(self, name: str, *kinds: Kind) -> str:
        """What to say of a name that is nobody's."""
        there = ", ".join(each.name for each in self.of(*kinds))
        return f"Class {name} could not be found. There are: {there}"


def kind_of(class_: object) -> Kind | None:
    """Of a class, by what it is made from."""
    from ottla.connect.converters.interface import Converter, HeaderConverter
    from ottla.connect.sdk import SinkConnector, SourceConnector

    if not isinstance(class_, type):
        return None
    for base, kind in (
        (SourceConnector, Kind.SOURCE),
        (SinkConnector, Kind.SINK),
        (Converter, Kind.CONVERTER),
        (HeaderConverter, Kind.HEADER_CONVERTER),
    ):
        if issubclass(class_, base):
            return kind
    from ottla.connect.transforms.interface import Predicate, Transformation

    if issubclass(class_, Transformation):
        return Kind.TRANSFORMATION
    return Kind.PREDICATE if issubclass(class_, Predicate) else None


def _resolve(target: str) -> Any:
    module, _, qualified = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualified.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may do anything when it is imported
        raise ConfigError(f"Class {target} cannot be loaded: {error}") from error
    return found


def _installed() -> Iterable[Plugin]:
    """Of other packages. What a connector is (a source or a sink) only its class says, so that these are
    loaded.
    """
    kinds = {"converters": Kind.CONVERTER, "transforms": Kind.TRANSFORMATION, "predicates": Kind.PREDICATE}
    for group, kind in kinds.items():
        for point in entry_points(group=_GROUP + group):
            yield Plugin(point.name, kind, point.value, _version(point))
    for point in entry_points(group=f"{_GROUP}connectors"):
        try:
            found = kind_of(_resolve(point.value))
        except ConfigError:
            continue  # its package lacks something
        if found in CONNECTORS:
            yield Plugin(point.name, found, point.value, _version(point))


def _version(point: EntryPoint) -> str | None:
    return None if point.dist is None else point.dist.version
