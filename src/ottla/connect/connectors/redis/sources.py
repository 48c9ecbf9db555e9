"""Redis into topics: the sources of redis-kafka-connect, of streams and of keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from ottla.connect.connectors.base import BuiltInSourceConnector, Checks
from ottla.connect.connectors.redis.connection import (
    RENAMES,
    client_of,
    connection_config,
    guarded,
    set_up,
)
from ottla.connect.connectors.sources import PollingSourceTask
from ottla.connect.data.schema import Schema, Value
from ottla.connect.data.schemas import BYTES, FLOAT64, STRING, array_of, map_of
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, RetriableError
from ottla.connect.records import ConnectHeaders, SourceRecord
from ottla.connect.sdk import Config, ExactlyOnceSupport, Offset, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, NonEmptyList, NonEmptyString, OneOfIgnoringCase

__all__ = ["RedisKeysSourceConnector", "RedisStreamSourceConnector"]

_STREAMS: Final = "ottla.streams"
_ID: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_OFFSET: Final = "offset"
_FIELDS: Final = map_of(STRING, STRING)


class RedisStreamSourceConnector(BuiltInSourceConnector):
    """Entries of streams, each once: Connect keeps the place in the stream, so no group of consumers does."""

    kafka_name = "com.redis.kafka.connect.RedisStreamSourceConnector"
    renames = RENAMES

    def config(self) -> ConfigDef:
        return (
            connection_config()
            .define("redis.stream.name", ConfigType.LIST, REQUIRED, Importance.HIGH, "The streams.",
                    validator=NonEmptyList(), group="Stream", order=1)
            .define("redis.stream.offset", ConfigType.STRING, "0-0", Importance.MEDIUM,
                    "Behind which entry to begin; `$` for those that come from now on.",
                    group="Stream", order=2)
            .define("redis.stream.count", ConfigType.INT, 1000, Importance.MEDIUM,
                    "How many entries are read at a time, at most.",
                    validator=AtLeast(1), group="Stream", order=3)
            .define("redis.stream.block", ConfigType.INT, 200, Importance.LOW,
                    "How many milliseconds to wait for one.",
                    validator=AtLeast(1), group="Stream", order=4)
            .define("redis.stream.consumer.group", ConfigType.STRING, None, Importance.LOW,
                    "Is not used: Connect keeps the place in the stream.",
                    group="Stream", order=5)
            .define("topic", ConfigType.STRING, "${stream}", Importance.MEDIUM,
                    "The topic that entries go to.",
                    validator=NonEmptyString(), group="Stream", order=6)
        )  # fmt: skip

    def checks(self) -> Checks:
        return {"redis.uri": set_up, "redis.stream.offset": _begin}

    def task_class(self) -> type[SourceTask]:
        return RedisStreamSourceTask

    def task_configs(self, max_tasks: int) -> Sequence[Config]:
        streams = list(dict.fromkeys(self.settings(self.started_with).list("redis.stream.name")))
        return self.divided(_STREAMS, streams, max_tasks)

    def exactly_once_support(self, config: Config) -> ExactlyOnceSupport:  # noqa: ARG002
        return ExactlyOnceSupport.SUPPORTED

    def alter_offsets(self, config: Config, offsets: Sequence[tuple[Offset, Offset | None]]) -> bool:  # noqa: ARG002
        for partition, offset in offsets:
            if offset is None:
                continue
            if set(partition) != {"stream"} or not _ID.fullmatch(str(offset.get(_OFFSET))):
                raise ConnectError(
                    'A partition is {"stream": NAME} and an offset {"offset": "MILLISECONDS-NUMBER"}'
                )
        return True


def _begin(settings: Settings) -> str:
    """ConfigError for what is no place in a stream."""
    given = settings.string("redis.stream.offset")
    if given == "$" or _ID.fullmatch(given):
        return given
    if given.isdecimal():
        return f"{given}-0"
    raise ConfigError(f"redis.stream.offset={given} is no id of an entry: 0-0, 1526919030474-55 or $")


class RedisStreamSourceTask(PollingSourceTask):
    """Keys are entries' ids, values their fields."""

    kafka_name = "com.redis.kafka.connect.source.RedisStreamSourceTask"
    connector = RedisStreamSourceConnector

    def connect(self, settings: Settings, config: Config) -> None:
        self._client = client_of(settings)
        begin = _begin(settings)
        self._places: dict[str, str] = {}
        for name in json.loads(config[_STREAMS]):
            found = self.context.offset({"stream": name})
            place = begin if found is None else str(found[_OFFSET])
            self._places[name] = self._last(name) if place == "$" else place

    def _last(self, name: str) -> str:
        """Where the stream ends now, so that nothing that comes later is missed."""
        with guarded(f"the stream {name} cannot be read"):
            newest = self._client.xrevrange(name, count=1)
        return newest[0][0].decode() if newest else "0-0"

    def read(self) -> Sequence[SourceRecord]:
        with guarded("streams cannot be read"):
            found = self._client.xread(
                self._places,
                count=self.settings.integer("redis.stream.count"),
                block=self.settings.integer("redis.stream.block"),
            )
        return [record for name, entries in found or () for record in self._records(name.decode(), entries)]

    def _records(
        self, name: str, entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]]
    ) -> Iterator[SourceRecord]:
        topic = self.settings.string("topic").replace("${stream}", name).replace("${task}", "0")
        for id_, fields in entries:
            entry = id_.decode()
            self._places[name] = entry
            yield SourceRecord(
                {"stream": name},
                {_OFFSET: entry},
                topic,
                key_schema=STRING,
                key=entry,
                value_schema=_FIELDS,
                value={_text(field): _text(value) for field, value in fields.items()},
                timestamp=int(entry.partition("-")[0]),
                headers=ConnectHeaders().add("stream", name, STRING),
            )

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


class RedisKeysSourceConnector(BuiltInSourceConnector):
    """Keys with their values as they are, and again whenever they change; one that is gone has no value.

    The server is told to say what changes (`notify-keyspace-events`). What changes while no task runs shows
    when it starts again: all keys are read then. Keys that went meanwhile are not told.
    """

    kafka_name = "com.redis.kafka.connect.RedisKeysSourceConnector"
    renames = RENAMES

    def config(self) -> ConfigDef:
        return (
            connection_config()
            .define("redis.keys.pattern", ConfigType.STRING, "*", Importance.MEDIUM,
                    "The keys, as `KEYS` takes them.",
                    validator=NonEmptyString(), group="Keys", order=1)
            .define("mode", ConfigType.STRING, "LIVE", Importance.MEDIUM,
                    "`LIVE`: keys, and their changes. `SNAPSHOT`: keys once.",
                    validator=OneOfIgnoringCase("LIVE", "SNAPSHOT"), group="Keys", order=2)
            .define("batch.size", ConfigType.INT, 500, Importance.LOW,
                    "How many keys are read at a time, at most.",
                    validator=AtLeast(1), group="Keys", order=3)
            .define("topic", ConfigType.STRING, "redis", Importance.MEDIUM, "The topic that keys go to.",
                    validator=NonEmptyString(), group="Keys", order=4)
        )  # fmt: skip

    def checks(self) -> Checks:
        return {"redis.uri": set_up, "redis.cluster.enabled": _check_alone}

    def task_class(self) -> type[SourceTask]:
        return RedisKeysSourceTask


def _check_alone(settings: Settings) -> None:
    if settings.boolean("redis.cluster.enabled"):
        raise ConfigError(
            "redis.cluster.enabled=true: keys and their changes are those of one server; "
            "have a connector for each node, without it"
        )


_WAIT_S: Final = 0.2
_ALL_CHANGES: Final = "KA"

_READERS: Final[Mapping[bytes, tuple[Callable[[Any, bytes], object], Schema]]] = {
    b"string": (lambda redis, key: redis.get(key), BYTES),
    b"hash": (lambda redis, key: redis.hgetall(key), map_of(STRING, STRING)),
    b"list": (lambda redis, key: redis.lrange(key, 0, -1), array_of(STRING)),
    b"set": (lambda redis, key: redis.smembers(key), array_of(STRING)),
    b"zset": (lambda redis, key: redis.zrange(key, 0, -1, withscores=True), map_of(STRING, FLOAT64)),
    b"ReJSON-RL": (lambda redis, key: redis.execute_command("JSON.GET", key), STRING),
}
"""How the value of a key of each type is asked for, and what it is then"""


class RedisKeysSourceTask(PollingSourceTask):
    """All that there is by `SCAN`, then what notifications name."""

    kafka_name = "com.redis.kafka.connect.source.RedisKeysSourceTask"
    connector = RedisKeysSourceConnector

    def connect(self, settings: Settings, config: Config) -> None:  # noqa: ARG002
        self._client = client_of(settings)
        self._size = settings.integer("batch.size")
        self._pattern = settings.string("redis.keys.pattern")
        self._is_live = settings.string("mode").upper() == "LIVE"
        self._cursor: int | None = 0
        self._changes: Any = None

    def read(self) -> Sequence[SourceRecord]:
        try:
            with guarded("keys cannot be read"):
                if self._is_live and self._changes is None:
                    self._listen()
                return list(self._records(self._keys()))
        except RetriableError:
            self._cursor, self._changes = 0, None  # changes may have been missed: all keys are read again
            raise

    def _listen(self) -> None:
        """Before anything is read, so that no change is missed."""
        told = self._client.config_get("notify-keyspace-events").get("notify-keyspace-events", "")
        if not set(_ALL_CHANGES) <= set(told):
            self._client.config_set("notify-keyspace-events", told + _ALL_CHANGES)
        database = self._client.connection_pool.connection_kwargs.get("db", 0)
        self._prefix = f"__keyspace@{database}__:".encode()
        self._changes = self._client.pubsub(ignore_subscribe_messages=True)
        self._changes.psubscribe(self._prefix + self._pattern.encode())

    def _keys(self) -> list[bytes]:
        if self._cursor is not None:
            cursor, found = self._client.scan(self._cursor, match=self._pattern, count=self._size)
            self._cursor = cursor or None
            return list(dict.fromkeys(found))
        if not self._is_live:
            self.idle()
            return []
        changed: dict[bytes, None] = {}
        wait_s = _WAIT_S
        while len(changed) < self._size:
            message = self._changes.get_message(timeout=wait_s)
            if message is not None:
                changed[message["channel"].removeprefix(self._prefix)] = None
            elif wait_s == 0 or not changed:  # what is None may also be the answer to our subscription
                break
            wait_s = 0.0
        return list(changed)

    def _records(self, keys: Sequence[bytes]) -> Iterator[SourceRecord]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.type(key)
        kinds = pipeline.execute() if keys else []
        readers = [_READERS.get(kind) for kind in kinds]
        pipeline = self._client.pipeline(transaction=False)
        for key, reader in zip(keys, readers, strict=True):
            if reader is not None:
                reader[0](pipeline, key)
        values = iter(pipeline.execute(raise_on_error=False))
        for key, kind, reader in zip(keys, kinds, readers, strict=True):
            if reader is None and kind != b"none":
                continue  # a stream has a source of its own
            value = None if reader is None else next(values)
            if isinstance(value, Exception):  # became one of another type: a change tells
                continue
            yield self._record(key, kind, None if reader is None else reader[1], value)

    def _record(self, key: bytes, kind: bytes, schema: Schema | None, value: Any) -> SourceRecord:
        is_gone = value is None or (kind != b"string" and not value)  # an empty collection is none
        made = None if is_gone else _VALUES.get(kind, _as_it_is)(value)
        return SourceRecord(
            {"pattern": self._pattern},
            {"key": _text(key)},
            self.settings.string("topic"),
            key_schema=STRING,
            key=_text(key),
            value_schema=None if made is None else schema,
            value=made,
            headers=ConnectHeaders().add("type", _text(kind), STRING),
        )

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()


def _as_it_is(value: Any) -> Value:
    return value


_VALUES: Final[Mapping[bytes, Callable[[Any], Value]]] = {
    b"hash": lambda value: {_text(field): _text(one) for field, one in value.items()},
    b"list": lambda value: [_text(one) for one in value],
    b"set": lambda value: sorted(_text(one) for one in value),
    b"zset": lambda value: {_text(member): float(score) for member, score in value},
    b"ReJSON-RL": _text,
}
