"""Bytes as they are: values with nothing between them, and all of the input as one value."""

from __future__ import annotations

from collections.abc import Iterator

from ottla.cli.formats.interface import (
    HOW_TO_SEND_MORE,
    Defaults,
    Encoder,
    Gathered,
    InputError,
    Parsed,
    Rows,
)
from ottla.client.columns.columns import Columns
from ottla.client.columns.implementation import IMPLEMENTATION


class RawEncoder(Encoder):
    def rows(self, topic: str, rows: Columns) -> bytes:  # noqa: ARG002
        return IMPLEMENTATION.join(rows.value.raw, b"", b"")[0]


class RawDecoder:
    def __init__(self, defaults: Defaults) -> None:
        self._gathered = Gathered(defaults, "record")
        self._max_bytes = defaults.record_max_bytes
        self._parts: list[bytes] = []
        self._bytes = 0

    def feed(self, data: bytes) -> Iterator[Rows]:
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise InputError(
                f"the input is one record, of more than {self._max_bytes:,} bytes ({HOW_TO_SEND_MORE})"
            )
        return iter(())

    def end(self) -> Iterator[Rows]:
        self._gathered.add(Parsed(None, b"".join(self._parts)), 1)
        return self._gathered.take()
