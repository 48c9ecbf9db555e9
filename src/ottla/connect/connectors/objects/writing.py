"""What of a partition is in which object: when objects end, and which offsets are in the store.

Objects are called by the topic, the partition and the offset of their first record, and all that are open of
a partition end together. So a task that starts again behind the last commit makes the same objects from the
same records, and what was stored already is stored over: no record is missing, and none is in two objects.
That holds as far as the records alone say when objects end: not the clock.

Pure: the store, the formats and the time are handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from ottla.connect.connectors.objects.partitioning import Partitioner, next_scheduled
from ottla.connect.data.projection import project
from ottla.connect.data.schema import Schema, SchemaAndValue
from ottla.connect.errors import DataError
from ottla.connect.records import SinkRecord

__all__ = ["Encoder", "Names", "PartitionWriter", "Rotation"]


class Encoder(Protocol):
    """Makes an object of records."""

    def append(self, record: SinkRecord) -> None:
        """Raises DataError for a record that the format has no place for, and is as before then."""

    def finish(self) -> bytes:
        """The whole object."""


class Rotation(NamedTuple):
    """When objects end."""

    size: int
    """Records of one"""
    interval_ms: int | None
    """Between the times of the first record and another's"""
    schedule_ms: int | None
    """By the clock"""
    zone: ZoneInfo
    compatibility: str
    """NONE, BACKWARD, FORWARD or FULL: which schemas are taken over into the object's"""


class Names(NamedTuple):
    """What objects are called."""

    folder: str
    directory_delimiter: str
    file_delimiter: str
    width: int
    extension: str

    def path(self, topic: str, folder: str, record: SinkRecord) -> str:
        """By the record's own topic: another may be routed to the same folder."""
        parts = (
            record.original_topic,
            str(record.original_partition),
            f"{record.original_offset:0{self.width}d}",
        )
        name = self.file_delimiter.join(parts) + self.extension
        return self.directory_delimiter.join(filter(None, (self.folder, topic, folder, name)))


class _File(NamedTuple):
    path: str
    encoder: Encoder
    schema: Schema | None
    counts: list[int]


class PartitionWriter:
    """The open objects of one partition of a topic."""

    def __init__(
        self,
        rotation: Rotation,
        partitioner: Partitioner,
        names: Names,
        encoder: Callable[[Schema | None], Encoder],
        store: Callable[[str, bytes], None],
    ) -> None:
        self._rotation: Final = rotation
        self._partitioner: Final = partitioner
        self._names: Final = names
        self._encoder: Final = encoder
        self._store: Final = store
        self._files: Final[dict[tuple[str, str], _File]] = {}
        self.first: int | None = None
        """The offset of the first record that is in no stored object"""
        self._began_ms = 0
        self._path = ""
        self._scheduled_ms: int | None = None

    def add(self, record: SinkRecord, now_ms: int) -> None:
        """Raises DataError for a record that can be in no object, and what the store raises: then nothing
        counts that is not stored, and `first` says where to go on.
        """
        path = self._partitioner.path(record, now_ms)
        time_ms = self._time_of(record, now_ms)
        file = self._files.get((record.topic, path))
        is_over = bool(self._files) and self._is_over(path, time_ms)
        if file is None or is_over or _differs(self._rotation.compatibility, record, file.schema):
            name = self._names.path(record.topic, path, record)
            made = _File(name, self._encoder(record.value_schema), record.value_schema, [0])
            if is_over or file is not None:
                self.store()
            file = made
        file.encoder.append(_projected(record, file.schema))
        self._files[record.topic, path] = file
        file.counts[0] += 1
        self._path = path
        if self.first is None:
            self.first, self._began_ms = record.original_offset, time_ms
            schedule = self._rotation.schedule_ms
            self._scheduled_ms = schedule and next_scheduled(now_ms, schedule, self._rotation.zone)
        if file.counts[0] >= self._rotation.size:
            self.store()

    def check(self, now_ms: int) -> None:
        """Whether the clock says that objects end."""
        if self.first is None:
            return
        timestamps, interval = self._partitioner.timestamps, self._rotation.interval_ms
        is_late = self._scheduled_ms is not None and now_ms >= self._scheduled_ms
        if timestamps is not None and timestamps.is_wallclock and interval is not None:
            is_late = is_late or now_ms - self._began_ms >= interval
        if is_late:
            self.store()

    def store(self) -> None:
        """All that is open."""
        for file in self._files.values():
            self._store(file.path, file.encoder.finish())
        self._files.clear()
        self.first = None

    def _time_of(self, record: SinkRecord, now_ms: int) -> int:
        if self._rotation.interval_ms is None:
            return 0
        if self._partitioner.timestamps is not None:
            return self._partitioner.timestamps.of(record, now_ms)
        return now_ms if record.timestamp is None else record.timestamp

    def _is_over(self, path: str, time_ms: int) -> bool:
        interval = self._rotation.interval_ms
        if interval is None:
            return False
        is_other = self._partitioner.timestamps is not None and path != self._path
        return is_other or time_ms - self._began_ms >= interval


def _differs(compatibility: str, record: SinkRecord, current: Schema | None) -> bool:
    """Whether a record's schema needs an object of its own."""
    schema = record.value_schema
    if schema is current or schema == current:
        return False
    if compatibility == "NONE" or schema is None or current is None:
        return True
    if schema.version is None or current.version is None:
        raise DataError(f"schema.compatibility={compatibility} needs versions of schemas: {schema} has none")
    if compatibility == "FORWARD":
        return schema.version < current.version
    return schema.version > current.version


def _projected(record: SinkRecord, schema: Schema | None) -> SinkRecord:
    own = record.value_schema
    if own is schema or own is None or schema is None or own == schema:
        return record
    return record.replace(value=SchemaAndValue(schema, project(own, record.value, schema)))
