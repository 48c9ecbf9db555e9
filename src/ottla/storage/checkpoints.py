"""The small files of a data folder and of a partition's folder, in Kafka's formats.

All are replaced as a whole (written aside, synced, renamed), so that a crash leaves the old one or the new
one. What a reader cannot make sense of raises CorruptCheckpointError with the file's name: the caller knows
whether to rebuild (offset checkpoints: recover from the start of the log) or to refuse the folder
(meta.properties). `partition.metadata` is synced only with the first records, and a log can do without it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from ottla.storage.fs import FileLock, FileSystem

__all__ = [
    "CLEANER_OFFSETS",
    "HIGH_WATERMARKS",
    "LOG_START_OFFSETS",
    "META_PROPERTIES",
    "RECOVERY_POINTS",
    "CleanShutdown",
    "CorruptCheckpointError",
    "DirectoryLock",
    "DirectoryLockedError",
    "MetaProperties",
    "OffsetCheckpoint",
    "Run",
    "decode_entries",
    "decode_offsets",
    "encode_entries",
    "has_partition_metadata",
    "read_meta_properties",
    "read_run",
    "remove_run",
    "take_clean_shutdown",
    "write_clean_shutdown",
    "write_meta_properties",
    "write_partition_metadata",
    "write_run",
]

RECOVERY_POINTS = "recovery-point-offset-checkpoint"
LOG_START_OFFSETS = "log-start-offset-checkpoint"
HIGH_WATERMARKS = "replication-offset-checkpoint"
CLEANER_OFFSETS = "cleaner-offset-checkpoint"
META_PROPERTIES = "meta.properties"

_PARTITION_METADATA = "partition.metadata"
_CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
_RUN = ".ottla_run"
_LOCK = ".lock"
_BASE64_START = re.compile(rb"[A-Za-z0-9_-]{0,21}")

_CHECKPOINT_VERSION = 0
_META_VERSION = "1"

Partition = tuple[str, int]


class CorruptCheckpointError(Exception):
    """A checkpoint file that does not read as one; the message names the file and what is wrong."""


class DirectoryLockedError(Exception):
    """Another process works on the data folder."""


def encode_entries(lines: Sequence[str]) -> bytes:
    """A checkpoint file: the format's version, the number of entries, and a line for each."""
    return "\n".join([str(_CHECKPOINT_VERSION), str(len(lines)), *lines, ""]).encode()


def decode_entries(data: bytes, source: str) -> list[str]:
    """The entry lines of a checkpoint file; an empty file has none. Raises CorruptCheckpointError."""
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise CorruptCheckpointError(f"{source}: not text") from None
    if len(lines) < 2:
        if data and lines != [str(_CHECKPOINT_VERSION)]:
            raise CorruptCheckpointError(f"{source}: malformed head {lines!r}")
        return []
    version, count, *entries = lines
    if version != str(_CHECKPOINT_VERSION):
        raise CorruptCheckpointError(f"{source}: version {version!r} instead of {_CHECKPOINT_VERSION}")
    if count != str(len(entries)):
        raise CorruptCheckpointError(f"{source}: {len(entries)} entries where it says {count!r}")
    return entries


def decode_offsets(data: bytes, source: str) -> dict[Partition, int]:
    """The content of an offset checkpoint. Raises CorruptCheckpointError."""
    offsets: dict[Partition, int] = {}
    for line in decode_entries(data, source):
        try:
            topic, partition, offset = line.split()
            offsets[topic, int(partition)] = int(offset)
            if int(offset) < 0:
                raise ValueError
        except ValueError:
            raise CorruptCheckpointError(f"{source}: malformed line {line!r}") from None
    return offsets


class OffsetCheckpoint:
    """One offset for each partition in a file of the data folder: `topic partition offset` lines."""

    __slots__ = ("_fs", "path")

    def __init__(self, fs: FileSystem, directory: str, name: str) -> None:
        self._fs = fs
        self.path = f"{directory}/{name}"

    def read(self) -> dict[Partition, int]:
        """All offsets; none when there is no file yet. Raises CorruptCheckpointError."""
        try:
            data = self._fs.read_bytes(self.path)
        except FileNotFoundError:
            return {}
        return decode_offsets(data, self.path)

    def write(self, offsets: Mapping[Partition, int]) -> None:
        self._fs.write_atomic(
            self.path,
            encode_entries(
                [f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()]
            ),
        )


class MetaProperties(NamedTuple):
    """Whose data a folder holds: `meta.properties`, version 1. All ids are Kafka's text form."""

    cluster_id: str
    node_id: int
    directory_id: str | None = None


def read_meta_properties(fs: FileSystem, directory: str) -> MetaProperties | None:
    """None for a folder that was not formatted yet. Raises CorruptCheckpointError."""
    path = f"{directory}/{META_PROPERTIES}"
    try:
        data = fs.read_bytes(path)
    except FileNotFoundError:
        return None
    try:
        properties = dict(_java_properties(data.decode()))
        version = properties["version"]
        if version != _META_VERSION:
            raise CorruptCheckpointError(f"{path}: version {version!r} instead of {_META_VERSION}")
        return MetaProperties(
            properties["cluster.id"], int(properties["node.id"]), properties.get("directory.id")
        )
    except KeyError as missing:
        raise CorruptCheckpointError(f"{path}: {missing.args[0]} is missing") from None
    except ValueError as wrong:
        raise CorruptCheckpointError(f"{path}: {wrong}") from None


def write_meta_properties(fs: FileSystem, directory: str, meta: MetaProperties) -> None:
    lines = [f"version={_META_VERSION}", f"cluster.id={meta.cluster_id}", f"node.id={meta.node_id}"]
    if meta.directory_id is not None:
        lines.append(f"directory.id={meta.directory_id}")
    fs.write_atomic(f"{directory}/{META_PROPERTIES}", "\n".join([*lines, ""]).encode())


def _java_properties(text: str) -> Iterable[tuple[str, str]]:
    """The pairs of a Java properties file, as far as Kafka's own one goes: no escapes, no continued lines."""
    for line in text.splitlines():
        line = line.strip()
        if line and line[0] not in "#!":
            name, separator, value = line.partition("=")
            if not separator:
                raise ValueError(f"malformed line {line!r}")
            yield name.strip(), value.strip()


def has_partition_metadata(fs: FileSystem, directory: str, topic_id: UUID) -> bool:
    """Whether a partition's folder says that it belongs to `topic_id` (KIP-516); False when it says nothing.

    A crash may have left the beginning of what was written, or zeros: nobody relied on it then, for it is
    synced with the first records. Raises KafkaError(inconsistent_topic_id) when the folder belongs to another
    topic, CorruptCheckpointError when it is beyond us.
    """
    path = f"{directory}/{_PARTITION_METADATA}"
    try:
        data = fs.read_bytes(path).rstrip(b"\0")
    except FileNotFoundError:
        return False
    expected = _partition_metadata(topic_id)
    if data == expected:
        return True
    if expected.startswith(data):
        return False
    lines = data.split(b"\n")
    fields = dict(line.split(b": ", 1) for line in lines if b": " in line)
    if fields.get(b"version", b"").strip() != b"0":
        raise CorruptCheckpointError(f"{path}: not of version 0")
    text = fields.get(b"topic_id", b"").strip()
    try:
        found = UUID(bytes=base64.b64decode(text + b"==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    if found == topic_id:
        return True
    if found is None and not _BASE64_START.fullmatch(text):
        raise CorruptCheckpointError(f"{path}: topic id {text!r}")
    raise KafkaError(
        ErrorCode.inconsistent_topic_id,
        f"{directory} belongs to topic id {text.decode()}, not to {_text(topic_id)}",
    )


def write_partition_metadata(fs: FileSystem, directory: str, topic_id: UUID) -> str:
    """Note to which topic id a folder belongs. The caller syncs the returned path with the first records."""
    path = f"{directory}/{_PARTITION_METADATA}"
    fs.write_aside(path, _partition_metadata(topic_id))
    return path


def _partition_metadata(topic_id: UUID) -> bytes:
    return f"version: 0\ntopic_id: {_text(topic_id)}".encode()


def _text(topic_id: UUID) -> str:
    return base64.urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")


class CleanShutdown(NamedTuple):
    """The folder was closed in order, by a broker of this epoch (KIP-966; None when not recorded)."""

    broker_epoch: int | None


def take_clean_shutdown(fs: FileSystem, directory: str) -> CleanShutdown | None:
    """Read the mark of a clean stop and remove it for good: from here on a crash must be noticed.

    None when the last stop was not clean.
    """
    path = f"{directory}/{_CLEAN_SHUTDOWN}"
    try:
        data = fs.read_bytes(path)
    except FileNotFoundError:
        return None
    fs.unlink(path)
    fs.sync_dir(directory)
    try:
        epoch = json.loads(data)["brokerEpoch"]
    except (ValueError, KeyError, TypeError):
        # Older marks are empty. The stop was clean all the same, as all logs are synced before the mark is
        # made.
        epoch = None
    return CleanShutdown(epoch if isinstance(epoch, int) else None)


def write_clean_shutdown(fs: FileSystem, directory: str, broker_epoch: int) -> None:
    """Mark the folder as closed in order. To be called last, when everything in it is synced."""
    mark = {"version": 0, "brokerEpoch": broker_epoch}
    fs.write_atomic(f"{directory}/{_CLEAN_SHUTDOWN}", json.dumps(mark, separators=(",", ":")).encode())


class Run(NamedTuple):
    """A broker has used the folder in this epoch, while the machine had this boot id."""

    broker_epoch: int
    boot_id: str


def read_run(fs: FileSystem, directory: str) -> Run | None:
    """The run that was last noted; None where there is none, or it cannot be read."""
    try:
        fields = json.loads(fs.read_bytes(f"{directory}/{_RUN}"))
        epoch, boot_id = fields["brokerEpoch"], fields["bootId"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Run(epoch, boot_id) if isinstance(epoch, int) and isinstance(boot_id, str) else None


def write_run(fs: FileSystem, directory: str, run: Run) -> None:
    """Not synced: it says nothing about a machine that has lost its power, and so has another boot id."""
    mark = {"version": 0, "brokerEpoch": run.broker_epoch, "bootId": run.boot_id}
    fs.write_aside(f"{directory}/{_RUN}", json.dumps(mark, separators=(",", ":")).encode())


def remove_run(fs: FileSystem, directory: str) -> None:
    """Have nothing said of a run (any thread)."""
    fs.unlink(f"{directory}/{_RUN}")


class DirectoryLock:
    """Keeps a second process out of a data folder while held.

    The operating system frees it with the process.
    """

    __slots__ = ("_directory", "_fs", "_lock")

    def __init__(self, fs: FileSystem, directory: str) -> None:
        self._fs = fs
        self._directory = directory
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Raises DirectoryLockedError when another process holds it."""
        try:
            self._lock = self._fs.lock(f"{self._directory}/{_LOCK}")
        except BlockingIOError:
            raise DirectoryLockedError(f"{self._directory} is in use by another broker") from None

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
