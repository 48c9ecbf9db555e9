"""Topics into Redis: the RedisSinkConnector of redis-kafka-connect, and the one of jcustenborder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from ottla.connect.connectors.base import BuiltInSinkConnector, Checks
from ottla.connect.connectors.payloads import fields_of, json_of, key_text, named, to_bytes
from ottla.connect.connectors.redis.connection import (
    RENAMES,
    client_of,
    connection_config,
    guarded,
    is_passing,
    set_up,
)
from ottla.connect.connectors.sinks import WritingSinkTask, batch_config
from ottla.connect.data.schema import Schema, Struct, Value
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import SinkTask
from ottla.connect.settings import Settings, SettingValue
from ottla.connect.validators import AtLeast, Check, OneOf, OneOfIgnoringCase

__all__ = ["PlainRedisSinkConnector", "RedisSinkConnector", "RedisSinkTask"]

Command = Sequence[str | bytes | float]

_COMMANDS: Final[Mapping[str, str]] = {
    "HSET": "HASH", "SET": "STRING", "XADD": "STREAM", "JSONSET": "JSON", "RPUSH": "LIST", "LPUSH": "LIST",
    "SADD": "SET", "ZADD": "ZSET", "GEOADD": "GEO",
}  # fmt: skip
_TEMPLATE: Final = re.compile(r"\$\{(\w*)\}")


def _check_command(name: str, value: SettingValue) -> None:
    if value is not None:
        OneOf(*_COMMANDS)(name, value)


def _config(kind: str, keyspace: str) -> ConfigDef:
    return batch_config(
        connection_config()
        .define("redis.type", ConfigType.STRING, kind, Importance.HIGH,
                "What records become: `STREAM` an entry of the stream, `HASH`, `STRING` and `JSON` the value "
                "of their key, `LIST`, `SET`, `ZSET` and `GEO` a member, which is the record's key.",
                validator=OneOfIgnoringCase("STREAM", "HASH", "STRING", "JSON", "LIST", "SET", "ZSET", "GEO"),
                group="Mapping", order=1)
        .define("redis.command", ConfigType.STRING, None, Importance.LOW,
                "As older versions of the connector say `redis.type`.",
                validator=Check(_check_command, f"[{', '.join(_COMMANDS)}]"), group="Mapping", order=2)
        .define("redis.keyspace", ConfigType.STRING, keyspace, Importance.MEDIUM,
                "The name of the stream or collection, and what is in front of a key; `${topic}` and "
                "`${partition}` are filled in.",
                group="Mapping", order=3)
        .define("redis.separator", ConfigType.STRING, ":", Importance.MEDIUM,
                "What is between that and the record's key.",
                group="Mapping", order=4)
        .define("redis.push.direction", ConfigType.STRING, "LEFT", Importance.LOW,
                "Which end of a list grows.",
                validator=OneOfIgnoringCase("LEFT", "RIGHT"), group="Mapping", order=5)
        .define("redis.stream.id", ConfigType.STRING, "auto", Importance.LOW,
                "`auto`: the server numbers entries. `offset`: they have their record's offset (one higher), "
                "so that none is there twice; the keyspace needs `${partition}` where the topic has several.",
                validator=OneOf("auto", "offset"), group="Mapping", order=6)
        .define("redis.multiexec", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether a batch is in a transaction (`MULTI`).",
                group="Redis", order=10)
        .define("redis.wait.replicas", ConfigType.INT, 0, Importance.LOW,
                "How many replicas must have a batch before it counts as written.",
                validator=AtLeast(0), group="Redis", order=11)
        .define("redis.wait.timeout", ConfigType.INT, 1000, Importance.LOW,
                "How many milliseconds that may take.",
                validator=AtLeast(1), group="Redis", order=12),
        batch=500,
    )  # fmt: skip


def _check_mapping(settings: Settings) -> None:
    """ConfigError for places that nothing fills."""
    pattern = settings.string("redis.keyspace")
    for name in _TEMPLATE.findall(pattern):
        if name not in ("topic", "partition"):
            raise ConfigError(
                f"redis.keyspace={pattern}: there is ${{topic}} and ${{partition}}, no ${{{name}}}"
            )


class RedisSinkConnector(BuiltInSinkConnector):
    """Records as entries of streams, hashes, strings, JSON documents, or members of collections.

    A record without a value removes the key or the member. Writing a record again changes nothing, but in
    lists, and in streams with `redis.stream.id=auto`.
    """

    kafka_name = "com.redis.kafka.connect.RedisSinkConnector"
    renames = RENAMES

    def config(self) -> ConfigDef:
        return _config("STREAM", "${topic}")

    def checks(self) -> Checks:
        return {"redis.uri": set_up, "redis.keyspace": _check_mapping}

    def task_class(self) -> type[SinkTask]:
        return RedisSinkTask


class PlainRedisSinkConnector(RedisSinkConnector):
    """Records as strings under their key alone, with the settings of the same class; others' defaults."""

    kafka_name = "com.github.jcustenborder.kafka.connect.redis.RedisSinkConnector"

    def config(self) -> ConfigDef:
        return _config("STRING", "")

    def task_class(self) -> type[SinkTask]:
        return _PlainRedisSinkTask


class _Mapping(NamedTuple):
    """How records become commands."""

    keyspace: str
    separator: str
    push: str
    entry_id: str

    def place(self, record: SinkRecord) -> str:
        return named(self.keyspace, record)

    def key(self, record: SinkRecord) -> str:
        place = self.place(record)
        return f"{place}{self.separator}{key_text(record)}" if place else key_text(record)


def _stream(mapping: _Mapping, record: SinkRecord) -> list[Command]:
    if record.value is None:
        raise DataError("a stream takes no record without a value")
    entry = f"{record.original_offset + 1}-0" if mapping.entry_id == "offset" else "*"
    return [("XADD", mapping.place(record), entry, *_pairs(record.value_schema, record.value)[0])]


def _pairs(schema: Schema | None, value: Value) -> tuple[list[str | bytes], list[str]]:
    """Names and values of fields, and names of those that are null. A single value is the field `value`."""
    if not isinstance(value, Struct | dict):
        return ["value", to_bytes(schema, value)], []
    pairs: list[str | bytes] = []
    missing: list[str] = []
    for name, (inner, one) in fields_of(schema, value).items():
        if one is None:
            missing.append(name)
        else:
            pairs += [name, to_bytes(inner, one)]
    return pairs, missing


def _hash(mapping: _Mapping, record: SinkRecord) -> list[Command]:
    key = mapping.key(record)
    if record.value is None:
        return [("DEL", key)]
    pairs, missing = _pairs(record.value_schema, record.value)
    commands: list[Command] = [("HSET", key, *pairs)] if pairs else []
    return [*commands, ("HDEL", key, *missing)] if missing else commands


def _string(mapping: _Mapping, record: SinkRecord) -> list[Command]:
    if record.value is None:
        return [("DEL", mapping.key(record))]
    return [("SET", mapping.key(record), to_bytes(record.value_schema, record.value))]


def _json(mapping: _Mapping, record: SinkRecord) -> list[Command]:
    if record.value is None:
        return [("DEL", mapping.key(record))]
    is_text = isinstance(record.value, str | bytes)  # which is JSON already
    data = to_bytes(None, record.value) if is_text else json_of(record.value_schema, record.value)
    return [("JSON.SET", mapping.key(record), "$", data)]


def _list(mapping: _Mapping, record: SinkRecord) -> list[Command]:
    if record.value is None:
        return [("LREM", mapping.place(record), 0, key_text(record))]
    return [(mapping.push, mapping.place(record), key_text(record))]


def _set(mapping: _Mapping, record: SinkRecord) -> list[Command]:
    return [("SREM" if record.value is None else "SADD", mapping.place(record), key_text(record))]


def _sorted_set(mapping: _Mapping, record: SinkRecord) -> list[Command]:
    if record.value is None:
        return [("ZREM", mapping.place(record), key_text(record))]
    return [("ZADD", mapping.place(record), _number(record.value, "score"), key_text(record))]


def _geo(mapping: _Mapping, record: SinkRecord) -> list[Command]:
    if record.value is None:
        return [("ZREM", mapping.place(record), key_text(record))]
    fields = fields_of(record.value_schema, record.value)
    where = [_number(fields.get(name, (None, None))[1], name) for name in ("longitude", "latitude")]
    return [("GEOADD", mapping.place(record), *where, key_text(record))]


def _number(value: Value, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DataError(f"the {what} is no number: {value!r}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise DataError(f"the {what} is no number: {value!r}") from None


_KINDS: Final[Mapping[str, Callable[[_Mapping, SinkRecord], list[Command]]]] = {
    "STREAM": _stream, "HASH": _hash, "STRING": _string, "JSON": _json, "LIST": _list, "SET": _set,
    "ZSET": _sorted_set, "GEO": _geo,
}  # fmt: skip


class RedisSinkTask(WritingSinkTask):
    """A batch is one pipeline."""

    kafka_name = "com.redis.kafka.connect.sink.RedisSinkTask"
    connector = RedisSinkConnector

    def connect(self, settings: Settings) -> None:
        command = settings.optional_string("redis.command")
        kind = _COMMANDS[command] if command else settings.string("redis.type").upper()
        left = settings.string("redis.push.direction").upper() == "LEFT" and command != "RPUSH"
        self._commands = _KINDS[kind]
        self._mapping = _Mapping(
            settings.string("redis.keyspace"),
            settings.string("redis.separator"),
            "LPUSH" if left else "RPUSH",
            settings.string("redis.stream.id"),
        )
        self._replicas = settings.integer("redis.wait.replicas")
        self._client = client_of(settings)

    def write(self, batch: Sequence[SinkRecord]) -> None:
        pipeline = self._client.pipeline(transaction=self.settings.boolean("redis.multiexec"))
        owners: list[SinkRecord] = []
        for record in batch:
            try:
                commands = self._commands(self._mapping, record)
            except DataError as error:
                self.reject(record, error)
                continue
            for command in commands:
                pipeline.execute_command(*command)
                owners.append(record)
        if not owners:
            return
        with guarded("Redis did not take a batch"):
            answers = pipeline.execute(raise_on_error=False)
            failed = [
                (record, answer)
                for record, answer in zip(owners, answers, strict=True)
                if isinstance(answer, Exception) and not _is_there_already(answer)
            ]
            for _, answer in failed:
                if is_passing(answer):
                    raise answer
        for record, answer in {id(record): (record, answer) for record, answer in failed}.values():
            self.reject(record, ConnectError(f"Redis did not take it: {answer}"))
        self._wait()

    def _wait(self) -> None:
        if not self._replicas:
            return
        with guarded("replicas were not waited for"):
            have = self._client.execute_command(
                "WAIT", self._replicas, self.settings.integer("redis.wait.timeout")
            )
        if have < self._replicas:
            raise RetriableError(f"redis.wait.replicas={self._replicas}, and only {have} have it in time")

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()


def _is_there_already(error: Exception) -> bool:
    """An entry with the id of its offset, which was written before."""
    return "equal or smaller than the target stream top item" in str(error)


class _PlainRedisSinkTask(RedisSinkTask):
    connector = PlainRedisSinkConnector
