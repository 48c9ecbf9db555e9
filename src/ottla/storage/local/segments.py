"""A log's segments in order, and the renames by which segments leave and others take their place."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from ottla.storage.local.segment import Segment
from ottla.storage.names import CLEANED, DELETED, LOG, SEGMENT_SUFFIXES, SWAP, segment_path

if TYPE_CHECKING:
    from ottla.config.topic import TopicConfig
    from ottla.storage.environment import LogEnvironment
    from ottla.storage.fs import FileSystem

__all__ = ["SegmentList", "discard"]

_base_offset = attrgetter("base_offset")


class SegmentList:
    """Never empty once opened: the last segment is the active one."""

    __slots__ = ("_directory", "_environment", "_segments")

    def __init__(self, environment: LogEnvironment, directory: str, segments: list[Segment]) -> None:
        self._environment = environment
        self._directory = directory
        self._segments = segments

    def __len__(self) -> int:
        return len(self._segments)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def __getitem__(self, number: int) -> Segment:
        return self._segments[number]

    @property
    def first(self) -> Segment:
        return self._segments[0]

    @property
    def active(self) -> Segment:
        return self._segments[-1]

    @property
    def size(self) -> int:
        """Bytes of all batches."""
        return sum(segment.size for segment in self._segments)

    def floor(self, offset: int) -> int:
        """The number of the segment that holds `offset`: the last one that does not begin behind it, or 0."""
        segments = self._segments
        if len(segments) == 1:
            return 0
        return max(bisect_right(segments, offset, key=_base_offset) - 1, 0)

    def from_number(self, number: int) -> list[Segment]:
        """The segments from that number on."""
        return self._segments[number:]

    def since(self, offset: int) -> list[Segment]:
        """The segment that holds `offset`, and all after it."""
        return self._segments[self.floor(offset) :]

    def after(self, offset: int) -> list[Segment]:
        """The segments that begin behind `offset`."""
        return self._segments[bisect_right(self._segments, offset, key=_base_offset) :]

    def add(self, segment: Segment) -> None:
        self._segments.append(segment)

    def remove(self, doomed: Sequence[Segment], due_ms: int) -> None:
        """Take segments out, rename their files to `.deleted` and have these removed at `due_ms`.

        Raises OSError.
        """
        for segment in doomed:
            self._segments.remove(segment)
            self._retire(segment, due_ms)

    def cut(self, doomed: Sequence[Segment], due_ms: int) -> None:
        """Take the last segments out, for good: others will be at their places. Raises OSError.

        The last one goes first, so that a crash leaves no hole.
        """
        if doomed:
            self.remove(doomed[::-1], due_ms)
            self._environment.fs.sync_dir(self._directory)

    def _retire(self, segment: Segment, due_ms: int) -> None:
        segment.close()
        retired = []
        for suffix in SEGMENT_SUFFIXES:
            path = segment.path(suffix)
            if self._rename(path, path + DELETED):
                retired.append(path + DELETED)
        self._environment.removals.add(retired, due_ms)

    def _rename(self, source: str, target: str) -> bool:
        try:
            self._environment.fs.rename(source, target)
        except FileNotFoundError:
            return False
        return True

    def replace(
        self, new: Collection[int], old: Collection[int], config: TopicConfig, due_ms: int
    ) -> list[int]:
        """Put the segments with the base offsets `new`, which lie there as `.cleaned`, in place of those in
        `old`.

        Returns the base offsets that are gone. Wherever a crash falls, the log opens with either the old
        segments or the new ones. A `.cleaned` file that is left over says that not all were renamed to
        `.swap`, because those are renamed from the last segment to the first: then opening drops them all.
        Otherwise opening finishes the job. Raises OSError.
        """
        ordered = sorted(new)
        fs = self._environment.fs
        for base_offset in reversed(ordered):
            self._rename_all(base_offset, CLEANED, SWAP)
        fs.sync_dir(self._directory)  # the point from which on the new segments count
        for segment in [segment for segment in self._segments if segment.base_offset in old]:
            self._segments.remove(segment)
            self._retire(segment, due_ms)
        for base_offset in ordered:
            self._rename_all(base_offset, SWAP, "")
            size = fs.size(segment_path(self._directory, base_offset, LOG))
            self._segments.append(Segment(self._environment, self._directory, base_offset, config, size=size))
        self._segments.sort(key=_base_offset)
        return [base_offset for base_offset in old if base_offset not in new]

    def _rename_all(self, base_offset: int, source: str, target: str) -> None:
        for suffix in SEGMENT_SUFFIXES:
            path = segment_path(self._directory, base_offset, suffix)
            self._rename(path + source, path + target)

    def close(self) -> None:
        for segment in self._segments:
            segment.close()


def discard(fs: FileSystem, directory: str, base_offsets: Iterable[int]) -> None:
    """Remove cleaned segments that are not to be swapped in, as when their log was truncated meanwhile."""
    for base_offset in base_offsets:
        for suffix in SEGMENT_SUFFIXES:
            fs.unlink(segment_path(directory, base_offset, suffix + CLEANED), missing_ok=True)
