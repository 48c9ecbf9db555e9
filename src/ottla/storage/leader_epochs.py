"""Where each leader's records start (KIP-101, KIP-320): the file `leader-epoch-checkpoint` of a partition.

A new epoch is on disk before the record that opened it may be acknowledged. What truncation removes may
linger in the file after a crash: opening the log truncates again, so that only `flush` writes it. A file that
does not read is made anew from the records, which carry their epochs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from ottla.storage.checkpoints import CorruptCheckpointError, decode_entries, encode_entries
from ottla.storage.errors import refusals
from ottla.storage.local.scan import scan_headers

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem
    from ottla.storage.local.segment import Segment

__all__ = [
    "FILE_NAME",
    "UNDEFINED_EPOCH",
    "UNDEFINED_EPOCH_OFFSET",
    "EpochEntry",
    "LeaderEpochCache",
    "decode_epochs",
]

FILE_NAME: Final = "leader-epoch-checkpoint"
UNDEFINED_EPOCH: Final = -1
UNDEFINED_EPOCH_OFFSET: Final = -1

_epoch = attrgetter("epoch")
_start_offset = attrgetter("start_offset")


class EpochEntry(NamedTuple):
    """The first offset that the leader of `epoch` wrote or may write."""

    epoch: int
    start_offset: int


def decode_epochs(data: bytes, source: str) -> list[EpochEntry]:
    """The entries of a leader-epoch-checkpoint file. Raises CorruptCheckpointError."""
    entries = []
    for line in decode_entries(data, source):
        try:
            epoch, start_offset = map(int, line.split())
        except ValueError:
            raise CorruptCheckpointError(f"{source}: malformed line {line!r}") from None
        entries.append(EpochEntry(epoch, start_offset))
    return entries


class LeaderEpochCache:
    """The epochs of one partition, both epochs and start offsets strictly ascending.

    The file is read at first use and created with the first epoch. `segments` are those whose records tell
    the epochs should the file not read. Whatever reads the file raises LogStorageError when the disk refuses.
    """

    __slots__ = ("_directory", "_entries", "_fs", "_is_dirty", "_is_new", "_led_from", "_segments")

    def __init__(self, fs: FileSystem, directory: str, segments: Iterable[Segment] = ()) -> None:
        self._fs = fs
        self._directory = directory
        self._segments = segments
        self._entries: list[EpochEntry] | None = None
        self._led_from: EpochEntry | None = None
        self._is_dirty = False
        self._is_new = False
        """There is no file yet"""

    @property
    def path(self) -> str:
        return f"{self._directory}/{FILE_NAME}"

    def _loaded(self) -> list[EpochEntry]:
        if self._entries is None:
            entries: list[EpochEntry] = []
            with refusals(f"cannot read {self.path}"):
                try:
                    found = decode_epochs(self._fs.read_bytes(self.path), self.path)
                except FileNotFoundError:
                    found, self._is_new = [], True
                except CorruptCheckpointError:
                    found = [EpochEntry(*each) for each in _leader_epochs_of(list(self._segments))]
                    self._is_dirty = True
            for entry in found:
                if entry.epoch >= 0:
                    _insert(entries, entry)
            if self._led_from is not None:
                self._is_dirty |= _insert(entries, self._led_from)
            self._entries = entries
        return self._entries

    def lead_from(self, epoch: int, start_offset: int) -> None:
        """Note that this node leads in `epoch`, whether or not it ever writes in it.

        Nothing is read or written before somebody asks.
        """
        self._led_from = EpochEntry(epoch, start_offset)
        if self._entries is not None:
            self.assign(epoch, start_offset)

    @property
    def entries(self) -> tuple[EpochEntry, ...]:
        return tuple(self._loaded())

    @property
    def latest_epoch(self) -> int | None:
        entries = self._loaded()
        return entries[-1].epoch if entries else None

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Note that `epoch` starts at `start_offset`; True when that is news. `save` or `flush` write it.

        Entries that contradict the new one (an epoch not below, or a start not below) belong to records that
        are gone, and go. Raises ValueError on a negative epoch or offset.
        """
        if epoch < 0 or start_offset < 0:
            raise ValueError(f"leader epoch {epoch} at offset {start_offset}")
        if not _insert(self._loaded(), EpochEntry(epoch, start_offset)):
            return False
        self._is_dirty = True
        return True

    def save(self) -> bool:
        """Bring the file up to date before the first record of an epoch. Raises OSError.

        A log's first epoch is not synced: when True is returned, the caller syncs `path` together with the
        first records, and until then recovery finds the epoch in them.
        """
        if not self._is_dirty or not self._is_new:
            self.flush()
            return False
        self._fs.write_aside(self.path, self._encoded())
        self._is_dirty = self._is_new = False
        return True

    def end_offset_for(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """The largest known epoch not above `epoch`, and where it ended (OffsetsForLeaderEpoch, KIP-279).

        An epoch older than all known ones ends where the first known one starts. (-1, -1) when nothing is
        known: for epoch -1 and for one newer than all known ones.
        """
        entries = self._loaded()
        if epoch == UNDEFINED_EPOCH or not entries or epoch > entries[-1].epoch:
            return UNDEFINED_EPOCH, UNDEFINED_EPOCH_OFFSET
        if epoch == entries[-1].epoch:
            return epoch, log_end_offset
        above = bisect_right(entries, epoch, key=_epoch)
        found = entries[above - 1].epoch if above else epoch
        return found, entries[above].start_offset

    def epoch_for(self, offset: int) -> int | None:
        """The epoch of the record at `offset`; None before the first known epoch."""
        entries = self._loaded()
        above = bisect_right(entries, offset, key=_start_offset)
        return entries[above - 1].epoch if above else None

    def truncate_from_end(self, end_offset: int) -> None:
        """Forget the epochs that start at `end_offset` or later."""
        entries = self._loaded()
        if end_offset >= 0 and entries and entries[-1].start_offset >= end_offset:
            del entries[bisect_left(entries, end_offset, key=_start_offset) :]
            self._is_dirty = True

    def truncate_from_start(self, start_offset: int) -> None:
        """Forget the epochs that ended before `start_offset`; the one it falls into now starts there."""
        entries = self._loaded()
        above = bisect_right(entries, start_offset, key=_start_offset)
        if above and (above > 1 or entries[0].start_offset != start_offset):
            entries[:above] = [EpochEntry(entries[above - 1].epoch, start_offset)]
            self._is_dirty = True

    def clear(self) -> None:
        self._entries = []
        self._is_dirty = True
        self.flush()

    def flush(self) -> None:
        """Write the file durably if it is behind; truncations leave it so."""
        if self._is_dirty:
            self._fs.write_atomic(self.path, self._encoded())
            self._is_dirty = self._is_new = False

    def _encoded(self) -> bytes:
        return encode_entries([f"{epoch} {start_offset}" for epoch, start_offset in self._loaded()])


def _insert(entries: list[EpochEntry], new: EpochEntry) -> bool:
    if entries and new.epoch == entries[-1].epoch and new.start_offset >= entries[-1].start_offset:
        return False
    while entries and (entries[-1].epoch >= new.epoch or entries[-1].start_offset >= new.start_offset):
        entries.pop()
    entries.append(new)
    return True


def _leader_epochs_of(segments: Sequence[Segment]) -> Iterator[tuple[int, int]]:
    """Yield (leader epoch, its first offset) as the headers say, ascending; a segment may repeat an epoch.

    Epochs ascend with the offsets: a segment is not read through when the next one begins with its epoch.
    """
    firsts = [next(scan_headers(each.file, 0, each.size), None) for each in segments]
    known = [
        (segment, first[1]) for segment, first in zip(segments, firsts, strict=True) if first is not None
    ]
    for number, (segment, first) in enumerate(known):
        yield first.leader_epoch, first.base_offset
        if number + 1 < len(known) and known[number + 1][1].leader_epoch == first.leader_epoch:
            continue
        epoch = first.leader_epoch
        for _, header in scan_headers(segment.file, 0, segment.size):
            if header.leader_epoch != epoch:
                epoch = header.leader_epoch
                yield epoch, header.base_offset
