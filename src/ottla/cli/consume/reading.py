"""From a source to standard output."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import click

from ottla.cli.consume.filters import Filter, take
from ottla.cli.consume.output import Output
from ottla.cli.consume.sources import Piece, Source
from ottla.cli.formats.interface import Encoder
from ottla.cli.progress import Progress
from ottla.cli.running import watched
from ottla.client.columns.columns import Columns
from ottla.client.connecting import AsyncClient

if TYPE_CHECKING:
    from ottla.cli.values.reading import Shower


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop; never, where nothing is given."""

    max_records: int | None
    timeout_s: float | None


class Reading:
    """Moves records, and knows when it has seen enough."""

    def __init__(
        self,
        source: Source,
        wanted: Filter,
        encoder: Encoder,
        limits: Limits,
        shower: Shower | None = None,
    ) -> None:
        """`shower` decodes keys and values before they are looked at."""
        self._source = source
        self._wanted = wanted
        self._encoder = encoder
        self._limits = limits
        self._shower = shower
        self._printed = 0
        """Rows of the last piece that are printed, or left out"""
        self._records = self._bytes = 0

    async def run(self, client: AsyncClient, file: BinaryIO, shown: Progress) -> None:
        """Until there is enough, or it is cancelled: what was printed is ended well, and committed."""
        out, encoder = Output(file), self._encoder
        is_ended = False
        try:
            async with watched(client.cluster, shown, lambda: (self._records, self._bytes), lambda: True):
                await out.write(encoder.begin())
                await self._print_all(out)
            await out.write(encoder.end())
            is_ended = True
        except asyncio.CancelledError:
            await out.write(encoder.end())
            is_ended = True
            raise
        finally:
            shown.done(self._records, self._bytes)
            if self._shower is not None and self._shower.skipped:
                click.echo(f"ottla: {self._shower.skipped:,} broken records were left out", err=True)
            if (caution := encoder.caution()) is not None and not file.isatty():
                click.echo(f"ottla: {caution}", err=True)
            await self._source.close(self._printed, commits=encoder.is_whole and is_ended)

    async def _encoded(self, topic: str, rows: Columns) -> bytes:
        if not self._encoder.waits:
            return self._encoder.rows(topic, rows)
        return await asyncio.get_running_loop().run_in_executor(None, self._encoder.rows, topic, rows)

    async def _print_all(self, out: Output) -> None:
        loop, timeout_s = asyncio.get_running_loop(), self._limits.timeout_s
        try:
            async with asyncio.timeout(timeout_s) as limit:
                async for piece in self._source:
                    limit.reschedule(None)
                    self._printed = 0
                    await self._print(piece, out)
                    if self._records == self._limits.max_records:
                        return
                    if timeout_s is not None:
                        limit.reschedule(loop.time() + timeout_s)
        except TimeoutError:
            if not limit.expired():
                raise

    async def _print(self, piece: Piece, out: Output) -> None:
        topic, rows = piece
        broken: Collection[int] = ()
        if self._shower is not None:
            rows, broken = await self._shower.show(topic, rows)
        places = self._wanted.places(rows)
        if broken:
            places = [at for at in places if at not in broken]
        read = len(rows)
        if self._limits.max_records is not None and len(places) > (
            left := self._limits.max_records - self._records
        ):
            places = places[:left]
        if len(places) < len(rows):
            if self._limits.max_records == self._records + len(places) and places:
                read = places[-1] + 1
            rows = take(rows, places)
        if places:
            await out.write(await self._encoded(topic, rows))
        self._records += len(rows)
        self._bytes += rows.value.nbytes + rows.key.nbytes
        self._printed = read
