"""Which folder a record's object is in: Confluent's partitioners. Pure: the time is handed in."""

from __future__ import annotations

import datetime as dt
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ottla.connect.data.logical import EPOCH, millis_of_timestamp, timestamp_from_millis
from ottla.connect.data.schema import Struct, Value
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import SinkRecord
from ottla.connect.settings import Settings
from ottla.connect.transforms.dates import DateFormat

__all__ = ["Partitioner", "Timestamps", "next_scheduled", "partitioner_of", "zone_of"]

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f/\\%]")
"""What would make another folder of a value, or none that a store can have"""
_DAILY: Final = "'year'=YYYY/'month'=MM/'day'=dd"
_HOURLY: Final = f"{_DAILY}/'hour'=HH"
_DAY_MS: Final = 86_400_000


def zone_of(name: str) -> ZoneInfo:
    """Raises ConfigError."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"timezone={name} is no time zone: say UTC, or Europe/Berlin") from None


def next_scheduled(now_ms: int, interval_ms: int, zone: ZoneInfo) -> int:
    """The next moment at a multiple of the interval since the day began in this zone."""
    local = timestamp_from_millis(now_ms).astimezone(zone)
    day = millis_of_timestamp(local.replace(hour=0, minute=0, second=0, microsecond=0))
    return day + ((now_ms - day) // interval_ms + 1) * interval_ms


class Timestamps:
    """Where a record's time is from: `timestamp.extractor`."""

    def __init__(self, extractor: str, field: str) -> None:
        """Raises ConfigError."""
        self._kind: Final = extractor.rpartition(".")[2].rpartition("$")[2].removesuffix("TimestampExtractor")
        if self._kind not in ("Wallclock", "Record", "RecordField"):
            raise ConfigError(
                f"timestamp.extractor={extractor} is none that is here: Wallclock, Record or RecordField"
            )
        self._path: Final = field.split(".")

    @property
    def is_wallclock(self) -> bool:
        return self._kind == "Wallclock"

    def of(self, record: SinkRecord, now_ms: int) -> int:
        """In milliseconds since the epoch. Raises DataError."""
        if self._kind == "Wallclock":
            return now_ms
        if self._kind == "Record":
            if record.timestamp is None:
                raise DataError("the record has no timestamp")
            return record.timestamp
        return _millis(_inner(record.value, self._path), ".".join(self._path))


def _inner(value: Value, path: Sequence[str]) -> Value:
    for name in path:
        has_field = isinstance(value, Struct) and value.schema.field(name) is not None
        if isinstance(value, Struct | Mapping) and (
            has_field or (isinstance(value, Mapping) and name in value)
        ):
            value = value[name]
        else:
            raise DataError(f"the value has no field {'.'.join(path)}")
    return value


def _millis(value: Value, name: str) -> int:
    if isinstance(value, dt.datetime):
        return millis_of_timestamp(value)
    if isinstance(value, dt.date):
        return millis_of_timestamp(dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            raise DataError(f"the field {name} is no time: {value[:100]!r}") from None
        return millis_of_timestamp(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    raise DataError(f"the field {name} is no time: {type(value).__name__}")


class Partitioner(ABC):
    """`timestamps` are those of a partitioner by time."""

    timestamps: Timestamps | None = None

    @abstractmethod
    def path(self, record: SinkRecord, now_ms: int) -> str:
        """The folder within that of the topic. Raises DataError."""


class DefaultPartitioner(Partitioner):
    """By the partition of the topic."""

    def path(self, record: SinkRecord, now_ms: int) -> str:  # noqa: ARG002 - one does not need it
        return f"partition={record.original_partition}"


class FieldPartitioner(Partitioner):
    """By fields of the value."""

    def __init__(self, fields: Sequence[str], delimiter: str) -> None:
        """Raises ConfigError."""
        if not fields:
            raise ConfigError("partition.field.name must be given to the FieldPartitioner")
        self._fields: Final = [(name, name.split(".")) for name in fields]
        self._delimiter: Final = delimiter

    def path(self, record: SinkRecord, now_ms: int) -> str:  # noqa: ARG002 - one does not need it
        return self._delimiter.join(
            f"{name}={_text(_inner(record.value, path))}" for name, path in self._fields
        )


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | str) and value is not None:
        raise DataError(f"objects cannot be partitioned by a {type(value).__name__}")
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", str(value) if value is not None else "null")


class TimePartitioner(Partitioner):
    """By a time of the record."""

    def __init__(self, duration_ms: int, path_format: str, zone: ZoneInfo, timestamps: Timestamps) -> None:
        """Raises ConfigError."""
        if duration_ms <= 0:
            raise ConfigError("partition.duration.ms must be given to the TimeBasedPartitioner")
        if not path_format:
            raise ConfigError("path.format must be given to the TimeBasedPartitioner")
        # Joda's letter for the year is YYYY as well, which is that of the week in Java's own.
        pieces = path_format.split("'")
        pieces[::2] = [piece.replace("Y", "y") for piece in pieces[::2]]
        self._format: Final = DateFormat("'".join(pieces))
        self._duration_ms: Final = duration_ms
        self._zone: Final = zone
        self.timestamps: Timestamps = timestamps
        self._known: tuple[int, str] = (0, "")

    def path(self, record: SinkRecord, now_ms: int) -> str:
        moment = timestamp_from_millis(self.timestamps.of(record, now_ms)).astimezone(self._zone)
        # As the clock on the wall says it there, from which the pattern takes its numbers.
        local = millis_of_timestamp(moment.replace(tzinfo=dt.UTC))
        start = local // self._duration_ms * self._duration_ms
        if self._known[0] != start or not self._known[1]:
            self._known = start, self._format.format(EPOCH + dt.timedelta(milliseconds=start))
        return self._known[1]


def partitioner_of(settings: Settings) -> Partitioner:
    """Raises ConfigError."""
    name = settings.string("partitioner.class")
    kind = name.rpartition(".")[2]
    if kind == "DefaultPartitioner":
        return DefaultPartitioner()
    if kind == "FieldPartitioner":
        return FieldPartitioner(settings.list("partition.field.name"), settings.string("directory.delim"))
    if kind not in ("TimeBasedPartitioner", "DailyPartitioner", "HourlyPartitioner"):
        raise ConfigError(
            f"partitioner.class={name} is none that is here: DefaultPartitioner, FieldPartitioner, "
            "TimeBasedPartitioner, DailyPartitioner or HourlyPartitioner"
        )
    timestamps = Timestamps(settings.string("timestamp.extractor"), settings.string("timestamp.field"))
    zone = zone_of(settings.string("timezone"))
    if kind == "DailyPartitioner":
        return TimePartitioner(_DAY_MS, settings.string("path.format") or _DAILY, zone, timestamps)
    if kind == "HourlyPartitioner":
        return TimePartitioner(_DAY_MS // 24, settings.string("path.format") or _HOURLY, zone, timestamps)
    duration, path = settings.integer("partition.duration.ms"), settings.string("path.format")
    return TimePartitioner(duration, path, zone, timestamps)
