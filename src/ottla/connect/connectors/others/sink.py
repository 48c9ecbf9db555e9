"""Records to programs that take Singer's messages: what targets and dlt's destinations have in common as
connectors.

After the records of each `put` the program gets a STATE with a number. What it says a state back of is in
its target; what it has not said so is when it ends well, which it does at the end of its input.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final, NoReturn

from ottla.connect.connectors.others.catalogue import Kind
from ottla.connect.connectors.others.environments import Environment, Environments
from ottla.connect.connectors.others.json_values import Described, described, merged, plain, seen
from ottla.connect.connectors.others.messages import encode, parse_object
from ottla.connect.connectors.others.programs import PrivateFolder, Program
from ottla.connect.data.schema import Schema, Struct, Type, Value
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConnectError, DataError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkConnector, SinkTask, TopicPartition
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast
from ottla.connect.version import VERSION

__all__ = ["MessagesSinkConnector", "MessagesSinkTask", "sink_config"]

_MARK: Final = "ottla"
_MAX_FIELDS: Final = 20_000

_log: Final = logging.getLogger(__name__)


def sink_config() -> ConfigDef:
    """What they all can be told."""
    return (
        ConfigDef()
        .define("key.properties", ConfigType.LIST, (), Importance.HIGH,
                "The fields that tell one record from another; those of the record's key without it.",
                group="Streams", order=1)
        .define("delete.enabled", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether a record without a value deletes what has its key; refused otherwise.",
                group="Streams", order=2)
        .define("timeout.ms", ConfigType.LONG, 240_000, Importance.MEDIUM,
                "A program that does, says and takes nothing for so long is killed, and the task fails.",
                validator=AtLeast(1), group="Program", order=4)
    )  # fmt: skip


class MessagesSinkConnector(SinkConnector):
    def version(self) -> str:
        return VERSION

    def task_configs(self, max_tasks: int) -> Sequence[Config]:
        return [self.started_with] * max_tasks

    def alter_offsets(self, config: Config, offsets: Mapping[TopicPartition, int | None]) -> bool:  # noqa: ARG002
        return True


class _Stream:
    """What the program was told of a stream. A topic is one, by its name."""

    def __init__(self) -> None:
        self.told: Described | None = None
        self.keys: Sequence[str] = ()
        self.seen: Described = {}
        self._of: tuple[Schema | None, Schema | None] = (None, None)
        self._made: Described = {}

    def of(self, value: Schema, key: Schema | None) -> Described:
        """The JSON Schema of a value's, with the fields of the key that it lacks."""
        if self._of != (value, key):
            made = described(value.replace(optional=False))
            fields = made["properties"]
            assert isinstance(fields, dict)
            for field in () if key is None or key.type is not Type.STRUCT else key.fields:
                fields.setdefault(field.name, described(field.schema))
            self._of, self._made = (value, key), made
        return self._made


class MessagesSinkTask(SinkTask):
    """Raises what a program fails with in the next `put`, so that what was said to be kept is committed."""

    kind: ClassVar[Kind]
    name_setting: ClassVar[str]

    def version(self) -> str:
        return VERSION

    @abstractmethod
    def settings_of(self, config: Config) -> Settings: ...

    @abstractmethod
    def launch(self) -> Program:
        """Have it wait for messages."""

    @abstractmethod
    def deletion(self, record: SinkRecord) -> Mapping[str, object]:
        """What says in a message that what has this key is gone."""

    def more(self, record: SinkRecord) -> Mapping[str, object]:  # noqa: ARG002 - for who needs it
        """Fields beside the record's own."""
        return {}

    def more_described(self) -> Mapping[str, Described]:
        """Their schemas, and those of `deletion`."""
        return {}

    def start(self, config: Config) -> None:
        self.config = config
        self.settings = self.settings_of(config)
        self.name = self.settings.string(self.name_setting)
        self.environment: Environment = Environments().need(self.name, self.kind)
        self.folder = PrivateFolder()
        self._keys = tuple(self.settings.list("key.properties"))
        self._program: Program | None = None
        self._streams: dict[str, _Stream] = {}
        self._number = 0
        self._unsaid: deque[tuple[int, dict[TopicPartition, int]]] = deque()
        """What was sent and is not known to be in the target, with the offsets behind it"""
        self._kept: dict[TopicPartition, int] = {}
        self._failure: ConnectError | None = None

    def stop(self) -> None:
        program: Program | None = getattr(self, "_program", None)
        if program is not None:
            program.kill()
        folder: PrivateFolder | None = getattr(self, "folder", None)
        if folder is not None:
            folder.close()

    def open(self, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            self._kept.pop(each, None)

    # Records.

    def put(self, records: Sequence[SinkRecord]) -> None:
        if self._failure is not None:
            raise self._failure
        if not records:
            if self._program is not None:
                self.heard(self._program.lines(0))
                if self._program.is_over:
                    self.ended(self._program)
            return
        if self._program is None:
            self._program = self.launch()
            for stream in self._streams.values():
                stream.told = None
        messages = self._messages(records)
        offsets: dict[TopicPartition, int] = {}
        for record in records:
            if record.original_partition is not None:
                where = TopicPartition(record.original_topic, record.original_partition)
                offsets[where] = max(record.original_offset + 1, offsets.get(where, 0))
        self._number += 1
        self._unsaid.append((self._number, offsets))
        state = {"bookmarks": {name: {_MARK: self._number} for name in self._streams}}
        messages.append(encode({"type": "STATE", "value": state}))
        took_all = self._program.write(b"".join(messages))
        self.heard(self._program.lines(0))
        if not took_all:
            self.ended(self._program)

    def ended(self, program: Program) -> NoReturn:
        """Nobody told it to."""
        self._heard_out(program)
        program.check()
        raise ConnectError(f"{self.name} has ended before its input")

    def _heard_out(self, program: Program) -> None:
        while not program.is_over:
            self.heard(program.lines(1.0))

    def _messages(self, records: Iterable[SinkRecord]) -> list[bytes]:
        """DataError where one cannot be said, and nobody takes it off the task."""
        messages: list[bytes] = []
        reporter = self.context.errant_record_reporter
        for record in records:
            try:
                messages += self._said(record)
            except DataError as error:
                if reporter is None:
                    raise
                reporter.report(record, error)
        return messages

    def _said(self, record: SinkRecord) -> list[bytes]:
        stream = self._streams.setdefault(record.topic, _Stream())
        fields = dict(self._key_fields(record))
        keys = self._keys or tuple(fields)
        if record.value is None:
            if not self.settings.boolean("delete.enabled"):
                raise DataError(f"a record of {record.topic} has no value, and delete.enabled is not set")
            if not fields:
                raise DataError(f"a record of {record.topic} that deletes has no fields in its key")
            fields |= self.deletion(record)
            schema = stream.seen if stream.told is None else stream.told
        else:
            fields |= _fields(record.value)
            schema = self._schema(record, stream, fields)
        lacking = [key for key in keys if fields.get(key) is None]
        if lacking:
            raise DataError(f"a record of {record.topic} lacks its key: {', '.join(lacking)}")
        fields |= self.more(record)
        if not schema:
            schema = seen(fields)
        said: list[bytes] = []
        if schema != stream.told or keys != stream.keys:
            said.append(self._schema_said(record.topic, schema, keys))
            stream.told, stream.keys = schema, keys
        said.append(encode({"type": "RECORD", "stream": record.topic, "record": fields}))
        return said

    def _schema(self, record: SinkRecord, stream: _Stream, fields: dict[str, object]) -> Described:
        if isinstance(record.value, Struct):
            return stream.of(record.value.schema, record.key_schema)
        stream.seen = merged(stream.seen, seen(fields))
        properties = stream.seen.get("properties")
        if isinstance(properties, dict) and len(properties) > _MAX_FIELDS:
            raise ConnectError(f"records of {record.topic} have more than {_MAX_FIELDS} fields")
        return stream.seen

    def _schema_said(self, name: str, schema: Described, keys: Sequence[str]) -> bytes:
        properties = schema.get("properties")
        assert isinstance(properties, dict)
        whole = {**schema, "type": "object", "properties": {**properties, **self.more_described()}}
        return encode({"type": "SCHEMA", "stream": name, "schema": whole, "key_properties": list(keys)})

    def _key_fields(self, record: SinkRecord) -> Mapping[str, object]:
        if isinstance(record.key, Struct | dict):
            return _fields(record.key)
        if record.key is not None and len(self._keys) == 1:
            return {self._keys[0]: plain(record.key)}
        return {}

    # What is kept.

    def heard(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            try:
                state = parse_object(line)
            except ValueError as error:
                shown = line[:200].decode("utf-8", "replace")
                raise ConnectError(f"{self.name} wrote what is no state: {shown}") from error
            self._keep(_number_of(state))

    def _keep(self, number: int) -> None:
        while self._unsaid and self._unsaid[0][0] <= number:
            self._kept |= self._unsaid.popleft()[1]

    def flush_program(self, program: Program) -> None:
        """Let it end: what it was given is kept then. ConnectError."""
        self._program = None
        try:
            if program.has_ended:  # by itself: nobody knows how much of its input it took
                self.ended(program)
            program.end_input()
            self._heard_out(program)
            program.check()
        finally:
            program.kill()
        self._keep(self._number)

    @property
    def is_kept(self) -> bool:
        """All that the program was given is in its target."""
        return not self._unsaid

    def pre_commit(self, offsets: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        if self._failure is None and self._unsaid and self._program is not None:
            try:
                self.flush_program(self._program)
            except ConnectError as error:
                self._failure = error
        if not self._unsaid:
            return offsets  # and those of what was left out on the way
        _log.warning("%s has not kept all that it was given: %s", self.name, self._failure)
        return {each: offset for each, offset in self._kept.items() if offset <= offsets.get(each, -1)}


def _fields(value: Value) -> dict[str, object]:
    """A record's fields; what has none is the field `value`."""
    made = plain(value)
    return made if isinstance(made, dict) else {"value": made}


def _number_of(state: Mapping[str, object]) -> int:
    """The last that is kept whole: targets may be at different places in their streams."""
    bookmarks = state.get("bookmarks")
    numbers = [
        each.get(_MARK)
        for each in (bookmarks.values() if isinstance(bookmarks, dict) else ())
        if isinstance(each, dict)
    ]
    return min((each for each in numbers if isinstance(each, int)), default=0)
