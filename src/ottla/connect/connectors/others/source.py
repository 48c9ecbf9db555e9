"""Records of programs that write Singer's messages: what taps and dlt's sources have in common."""

from __future__ import annotations

import datetime as dt
import logging
import re
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from ottla.connect.connectors.others.catalogue import Kind
from ottla.connect.connectors.others.environments import Environment, Environments
from ottla.connect.connectors.others.json_schemas import StreamSchema
from ottla.connect.connectors.others.messages import Message, decode, encode, parse_object
from ottla.connect.connectors.others.programs import PrivateFolder, Program
from ottla.connect.data.logical import EPOCH
from ottla.connect.data.schemas import INT64
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConnectError
from ottla.connect.records import Header, SourceRecord
from ottla.connect.sdk import (
    Config,
    ExactlyOnceSupport,
    Offset,
    SourceConnector,
    SourceTask,
)
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, NonEmptyString
from ottla.connect.version import VERSION

__all__ = ["MessagesSourceConnector", "MessagesSourceTask", "source_config"]

_STATE: Final = "state"
_WAIT_S: Final = 0.2
_HELD_S: Final = 5.0
"""How long a record waits for the state that would be its offset"""
_NO_TOPIC: Final = re.compile(r"[^A-Za-z0-9._-]")
_MAX_TOPIC: Final = 249

_log: Final = logging.getLogger(__name__)


def source_config() -> ConfigDef:
    """What they all can be told."""
    return (
        ConfigDef()
        .define("topic.prefix", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "What is in front of a stream's name in its topic's.", validator=NonEmptyString(),
                group="Topics", order=1)
        .define("streams", ConfigType.LIST, (), Importance.HIGH,
                "The streams to read, with * and ? for any letters; all without it.", group="Topics", order=2)
        .define("streams.exclude", ConfigType.LIST, (), Importance.MEDIUM,
                "Streams, or fields as `stream.field`, that are left out.", group="Topics", order=3)
        .define("times", ConfigType.BOOLEAN, True, Importance.LOW,
                "Whether dates and times become Connect's; texts otherwise.", group="Topics", order=4)
        .define("poll.interval.ms", ConfigType.LONG, 60_000, Importance.HIGH,
                "How long to wait between two runs.", validator=AtLeast(0), group="Runs", order=1)
        .define("timeout.ms", ConfigType.LONG, 600_000, Importance.MEDIUM,
                "A program that does and says nothing for so long is killed, and the task fails.",
                validator=AtLeast(1), group="Runs", order=2)
    )  # fmt: skip


class MessagesSourceConnector(SourceConnector):
    """One task: the state of a program is one."""

    def version(self) -> str:
        return VERSION

    def exactly_once_support(self, config: Config) -> ExactlyOnceSupport:  # noqa: ARG002
        """What was read behind the last state is read again."""
        return ExactlyOnceSupport.UNSUPPORTED

    def alter_offsets(self, config: Config, offsets: Sequence[tuple[Offset, Offset | None]]) -> bool:  # noqa: ARG002
        for _, offset in offsets:
            if offset is None:
                continue
            state = offset.get(_STATE)
            try:
                parse_object(state if isinstance(state, str) else "")
            except ValueError as error:
                raise ConnectError(
                    f'an offset is {{"{_STATE}": TEXT}} with the program\'s state as a JSON object: {error}'
                ) from error
        return True


class MessagesSourceTask(SourceTask):
    """A record's offset is the last state before it. The last record before a state waits for that, so that
    what was read whole is committed whole; it waits no longer than until the program is silent for a
    while.
    """

    kind: ClassVar[Kind]
    name_setting: ClassVar[str]

    def version(self) -> str:
        return VERSION

    @abstractmethod
    def settings_of(self, config: Config) -> Settings: ...

    @abstractmethod
    def launch(self, state: Mapping[str, object] | None) -> Program:
        """Have it read what there is behind this state."""

    def start(self, config: Config) -> None:
        self.config = config
        self.settings = self.settings_of(config)
        self.name = self.settings.string(self.name_setting)
        self.environment: Environment = Environments().need(self.name, self.kind)
        self.folder = PrivateFolder()
        self._partition: Offset = {"program": self.name}
        self._schemas: dict[str, StreamSchema] = {}
        self._program: Program | None = None
        self._held: SourceRecord | None = None
        self._held_at = 0.0
        self._due = 0.0
        known = self.context.offset(self._partition)
        state = None if known is None else known.get(_STATE)
        self._state: Mapping[str, object] | None = None
        if isinstance(state, str):
            try:
                self._state = parse_object(state)
            except ValueError as error:
                raise ConnectError(
                    f"the committed state of {self.name} is no JSON object: {error}"
                ) from error
        self._offset: Offset = {_STATE: "{}"} if known is None else dict(known)

    def stop(self) -> None:
        program: Program | None = getattr(self, "_program", None)
        if program is not None:
            program.kill()
        folder: PrivateFolder | None = getattr(self, "folder", None)
        if folder is not None:
            folder.close()

    def poll(self) -> Sequence[SourceRecord] | None:
        if self._program is None:
            left_s = self._due - time.monotonic()
            if left_s > 0:
                time.sleep(min(left_s, _WAIT_S))
                return None
            self._program = self.launch(self._state)
        lines = self._program.lines(_WAIT_S)
        records: list[SourceRecord] = []
        for line in lines:
            self._take(decode(line, self.name), records)
        if not lines and self._held is not None and (
            self._program.is_over or time.monotonic() - self._held_at > _HELD_S
        ):  # fmt: skip
            self._release(records)
        elif not lines and self._program.is_over:
            self._end(self._program)
        return records or None

    def _end(self, program: Program) -> None:
        try:
            program.check()
        finally:
            program.kill()
            self._program = None
        self._due = time.monotonic() + self.settings.integer("poll.interval.ms") / 1000

    def _release(self, records: list[SourceRecord]) -> None:
        if self._held is not None:
            records.append(self._held)
            self._held = None

    def _take(self, message: Message, records: list[SourceRecord]) -> None:
        if message.type == "RECORD":
            self._release(records)
            self._held = self._record(message)
            self._held_at = time.monotonic()
        elif message.type == "STATE":
            self._state_said(message.value)
            if self._held is not None:
                self._held.source_offset = self._offset
                self._release(records)
        elif message.type == "SCHEMA":
            self._described(message)
        elif message.type == "ACTIVATE_VERSION":
            _log.info("%s: version %s of %s is whole", self.name, message.version, message.stream)
        elif message.type == "BATCH":
            raise ConnectError(
                f"{self.name} writes files instead of records: take batch_config out of its configuration"
            )

    def _state_said(self, state: object) -> None:
        if not isinstance(state, dict):
            raise ConnectError(f"{self.name} wrote a state that is no object")
        self._state = state
        self._offset = {_STATE: encode(state).decode().rstrip()}

    def _described(self, message: Message) -> None:
        described, keys = message.schema or {}, message.key_properties or ()
        known = self._schemas.get(message.stream)
        if known is None or known.described != described or known.keys != tuple(keys):
            with_times = self.settings.boolean("times")
            self._schemas[message.stream] = StreamSchema(
                message.stream, described, keys, with_times=with_times
            )

    def _record(self, message: Message) -> SourceRecord:
        schema = self._schemas.get(message.stream)
        if schema is None or message.record is None:
            raise ConnectError(f"{self.name} wrote a record of {message.stream} without its schema")
        unknown = schema.unknown(message.record)
        if unknown:
            _log.warning(
                "%s: the schema of %s lacks %s, whose values are left out",
                self.name,
                message.stream,
                ", ".join(unknown[:20]),
            )
        value = schema.value(message.record)
        headers = [] if message.version is None else [Header("singer.version", INT64, message.version)]
        return SourceRecord(
            self._partition,
            self._offset,
            self._topic(message.stream),
            key_schema=schema.key_schema,
            key=schema.key(value),
            value_schema=schema.value_schema,
            value=value,
            timestamp=_milliseconds(message.time_extracted),
            headers=headers,
        )

    def _topic(self, stream: str) -> str:
        return (self.settings.string("topic.prefix") + _NO_TOPIC.sub("_", stream))[:_MAX_TOPIC]


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at
    return (at - EPOCH) // dt.timedelta(milliseconds=1)
