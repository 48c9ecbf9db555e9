"""Where chunks come from. pyarrow is imported with the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ottla.client.columns.columns import Columns
from ottla.streams.serdes import Serde

if TYPE_CHECKING:
    from ottla.streams.columnar.chunk import Chunk

__all__ = ["Chunks"]


class Chunks:
    """Has a task take up to `max_records` together, and fewer than `min_records` one at a time
    (`task.chunks.Columnar`)."""

    def __init__(self, max_records: int = 10_000, min_records: int = 1) -> None:
        self.max_records: Final = max_records
        self.min_records: Final = min_records

    def read(
        self, topic: str, columns: Columns, key: Serde[Any], value: Serde[Any], stream_time: int
    ) -> Chunk:
        from ottla.streams.columnar.chunk import Chunk

        return Chunk.read(topic, columns, key, value, stream_time)
