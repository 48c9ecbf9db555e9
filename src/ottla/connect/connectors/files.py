"""Lines of a file into a topic, and records' values as lines into a file: Kafka's FileStreamSource and
FileStreamSink.

Without `file` they read standard input and write standard output. A source's offset is the position, in
bytes, behind the last line; a line counts when its end is there.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final

from ottla.connect.connectors.base import BuiltInSinkConnector, BuiltInSourceConnector
from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.primitive import StringConverter
from ottla.connect.data.schemas import STRING
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConnectError
from ottla.connect.records import SinkRecord, SourceRecord
from ottla.connect.sdk import (
    Config,
    ExactlyOnceSupport,
    Offset,
    SinkTask,
    SourceTask,
    TopicPartition,
)
from ottla.connect.validators import NonEmptyString
from ottla.connect.version import VERSION

_FILENAME: Final = "filename"
_POSITION: Final = "position"
_READ: Final = 1 << 18
_MAX_LINE: Final = 64 << 20
_WAIT_S: Final = 0.2

_log: Final = logging.getLogger(__name__)
_PRINTED: Final = StringConverter({}, ConverterType.VALUE)


class FileStreamSourceConnector(BuiltInSourceConnector):
    """Lines of a file, or of standard input, as they come."""

    kafka_name = "org.apache.kafka.connect.file.FileStreamSourceConnector"

    def config(self) -> ConfigDef:
        return (
            ConfigDef()
            .define(
                "file",
                ConfigType.STRING,
                None,
                Importance.HIGH,
                "The file to read; standard input without one.",
            )
            .define(
                "topic",
                ConfigType.STRING,
                REQUIRED,
                Importance.HIGH,
                "The topic that lines go to.",
                validator=NonEmptyString(),
            )
            .define(
                "batch.size",
                ConfigType.INT,
                2000,
                Importance.LOW,
                "How many lines are read at a time, at most.",
            )
        )

    def task_class(self) -> type[SourceTask]:
        return FileStreamSourceTask

    def exactly_once_support(self, config: Config) -> ExactlyOnceSupport:
        return ExactlyOnceSupport.SUPPORTED if config.get("file") else ExactlyOnceSupport.UNSUPPORTED

    def alter_offsets(self, config: Config, offsets: Sequence[tuple[Offset, Offset | None]]) -> bool:
        if not config.get("file"):
            raise ConnectError(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is because "
                "stdin is used for "
                "input and offsets are not tracked."
            )
        for partition, offset in offsets:
            if offset is None:
                continue  # whatever it is, it may go
            if _POSITION not in offset:
                raise ConnectError("Offset objects should either be null or contain the key 'position'")
            position = offset[_POSITION]
            if not isinstance(position, int) or isinstance(position, bool):
                raise ConnectError(
                    "The value for the 'position' key in the offset is expected to be a Long value"
                )
            if position < 0:
                raise ConnectError(
                    "The value for the 'position' key in the offset should be a non-negative value"
                )
            if _FILENAME not in partition:
                raise ConnectError("Partition objects should contain the key 'filename'")
        return True


class FileStreamSourceTask(SourceTask):
    kafka_name = "org.apache.kafka.connect.file.FileStreamSourceTask"

    def version(self) -> str:
        return VERSION

    def start(self, config: Config) -> None:
        settings = FileStreamSourceConnector().settings(config)
        self._name = settings.optional_string("file") or None
        self._topic = settings.string("topic")
        self._batch_size = settings.integer("batch.size")
        self._partition: Mapping[str, str | None] = {_FILENAME: self._name}
        self._stream: IO[bytes] | None = None
        self._position = 0
        self._pending = b""
        self._is_at_end = False

    def poll(self) -> Sequence[SourceRecord] | None:
        if self._stream is None and not self._open():
            time.sleep(_WAIT_S)
            return None
        lines = self._lines()
        if not lines:
            if self._name is not None:
                time.sleep(_WAIT_S)
            return None
        now_ms = time.time_ns() // 1_000_000
        records: list[SourceRecord] = []
        for line in lines:
            self._position += len(line)
            records.append(
                SourceRecord(
                    self._partition,
                    {_POSITION: self._position if self._name is not None else None},
                    self._topic,
                    value_schema=STRING,
                    value=line.rstrip(b"\r\n").decode("utf-8", "replace")
                    if line.endswith((b"\n", b"\r"))
                    else line.decode("utf-8", "replace"),
                    timestamp=now_ms,
                )
            )
        return records

    def _open(self) -> bool:
        if self._name is None:
            self._stream = sys.stdin.buffer
            return True
        try:
            self._stream = open(self._name, "rb", buffering=0)  # noqa: SIM115 - closed in `stop`
        except FileNotFoundError:
            _log.warning("there is no file %s yet", self._name)
            return False
        except OSError as error:
            raise ConnectError(f"file={self._name} cannot be read: {error}") from error
        found = self.context.offset(self._partition)
        position = None if found is None else found.get(_POSITION)
        if position is not None and not isinstance(position, int):
            raise ConnectError("Offset position is the incorrect type")
        self._position = position or 0
        self._stream.seek(self._position)
        return True

    def _lines(self) -> list[bytes]:
        """At most `batch.size`, each with its end; a position is behind it."""
        lines = self._complete()
        if not lines:
            data = self._read()
            if not data:
                return []
            self._pending += data
            if len(self._pending) > _MAX_LINE:
                raise ConnectError(f"file={self._name} has a line of more than {_MAX_LINE} bytes")
            lines = self._complete()
        return lines

    def _complete(self) -> list[bytes]:
        lines = self._pending.splitlines(keepends=True)
        if lines and (lines[-1][-1:] != b"\n"):
            lines.pop()  # \r may be the half of \r\n
        taken = lines[: self._batch_size]
        self._pending = self._pending[sum(map(len, taken)) :]
        return taken

    def _read(self) -> bytes:
        assert self._stream is not None
        if self._name is None:
            ready, _, _ = select.select([self._stream], [], [], _WAIT_S)
            return os.read(self._stream.fileno(), _READ) if ready else b""
        return self._stream.read(_READ)

    def stop(self) -> None:
        if self._stream is not None and self._name is not None:
            self._stream.close()


class FileStreamSinkConnector(BuiltInSinkConnector):
    """Records' values as lines of a file, or of standard output."""

    kafka_name = "org.apache.kafka.connect.file.FileStreamSinkConnector"

    def config(self) -> ConfigDef:
        return ConfigDef().define(
            "file",
            ConfigType.STRING,
            None,
            Importance.HIGH,
            "The file to append to; standard output without one.",
        )

    def task_class(self) -> type[SinkTask]:
        return FileStreamSinkTask

    def alter_offsets(self, config: Config, offsets: Mapping[TopicPartition, int | None]) -> bool:  # noqa: ARG002
        return True


class FileStreamSinkTask(SinkTask):
    kafka_name = "org.apache.kafka.connect.file.FileStreamSinkTask"

    def version(self) -> str:
        return VERSION

    def start(self, config: Config) -> None:
        self._name = config.get("file") or None
        if self._name is None:
            self._write: Callable[[bytes], object] = _to_stdout
            return
        try:
            self._file = open(self._name, "ab", buffering=0)  # noqa: SIM115 - closed in `stop`
        except OSError as error:
            raise ConnectError(
                f"Couldn't find or create file '{self._name}' for FileStreamSinkTask: {error}"
            ) from error
        self._write = self._append

    def put(self, records: Sequence[SinkRecord]) -> None:
        if records:
            self._write(b"".join([self._line(each) for each in records]))

    def _line(self, record: SinkRecord) -> bytes:
        """As Java prints a value."""
        if isinstance(record.value, str):
            return record.value.encode("utf-8", "replace") + b"\n"
        return (_PRINTED.from_connect(record.topic, record.value_schema, record.value) or b"null") + b"\n"

    def _append(self, data: bytes) -> None:
        """Whole, or not at all: what a full disk takes of it is taken back."""
        before = os.fstat(self._file.fileno()).st_size
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError as error:
            if written:
                os.ftruncate(self._file.fileno(), before)
            raise ConnectError(f"file={self._name} cannot be written: {error}") from error

    def flush(self, offsets: Mapping[TopicPartition, int]) -> None:  # noqa: ARG002 - all of it
        if self._name is not None:
            os.fsync(self._file.fileno())

    def stop(self) -> None:
        if self._name is not None:
            self._file.close()


def _to_stdout(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
