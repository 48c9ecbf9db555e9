"""From input to a topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Final

import click

from ottla.cli.connection import CommandError, in_words
from ottla.cli.formats.interface import ANYWHERE, InputError, Rows
from ottla.cli.progress import Progress
from ottla.cli.running import watched
from ottla.client.connecting import AsyncClient
from ottla.client.errors import ClientError
from ottla.client.producer.delivery import WriteDelivery
from ottla.client.producer.producer import AsyncProducer

_TOPIC_WAIT_MS: Final = 10_000
_LINGER_S: Final = 0.05


class Sending:
    """Counts what becomes of the records."""

    def __init__(self, topic: str, partition: int | None, *, keeps_partitions: bool) -> None:
        self._topic = topic
        self._partition = partition
        self._keeps_partitions = keeps_partitions
        self._partitions: Collection[int] = ()
        self._taken = self._taken_bytes = 0
        self._delivered = 0
        self._failed = 0
        self._failure = ""

    async def run(
        self, client: AsyncClient, producer: AsyncProducer, rows: AsyncIterator[Rows], shown: Progress
    ) -> None:
        """Send all. Also when something in it is wrong, and when it is cancelled, what was read before that
        is sent, until it is cancelled again.
        """
        await self._check_topic(client)
        try:
            async with watched(client.cluster, shown, self._how_far, self._is_waiting):
                try:
                    async with contextlib.aclosing(rows):  # type: ignore[type-var]
                        async for each in rows:
                            await self._send(producer, each)
                except InputError as error:
                    raise CommandError(str(error)) from error
                finally:
                    await self._finish(producer)
        finally:
            self._report(shown)

    @property
    def has_lost(self) -> bool:
        return self._delivered < self._taken

    async def _check_topic(self, client: AsyncClient) -> None:
        """Refuse an unknown topic or partition at once. Asking may create the topic."""
        try:
            view = await client.cluster.topic(
                self._topic, timeout_ms=_TOPIC_WAIT_MS, allow_auto_creation=True
            )
        except ClientError as error:
            raise CommandError(f"{self._topic}: {in_words(error)}") from error
        self._partitions = view.partitions
        if self._partition is not None and self._partition not in view.partitions:
            raise CommandError(self._has_no(self._partition))

    def _has_no(self, partition: int) -> str:
        return f"{self._topic} has no partition {partition}, it has {len(self._partitions)}"

    async def _send(self, producer: AsyncProducer, rows: Rows) -> None:
        """Into batches: a write that was begun is brought to its end also where this is cancelled."""
        for part in self._by_partitions(rows):
            columns, where, _ = part
            self._taken += len(columns)
            self._taken_bytes += columns.value.nbytes + columns.key.nbytes
            writing = asyncio.ensure_future(
                producer.write(self._topic, columns, partition=self._partition if where is None else where)
            )
            try:
                self._follow(await asyncio.shield(writing))
            except asyncio.CancelledError:
                if not writing.cancelled():
                    self._follow(await writing)
                raise

    def _follow(self, delivery: WriteDelivery) -> None:
        def over(count: int, error: ClientError | None) -> None:
            if error is None:
                self._delivered += count
            else:
                self._failed += count
                self._failure = self._failure or in_words(error)

        delivery.on_batch(over)

    def _by_partitions(self, rows: Rows) -> Iterator[Rows]:
        """Those that say their partition and those that don't apart, in their order. InputError for a
        partition that is not there, when what was before it is taken.
        """
        columns, where, places = rows
        if where is None or not self._keeps_partitions:
            yield rows._replace(partitions=None)
            return
        start, count = 0, len(columns)
        numbers = where.tolist()
        for at in range(1, count + 1):
            is_end = at == count or (numbers[at] == ANYWHERE) != (numbers[start] == ANYWHERE)
            if not is_end:
                continue
            part = columns[start:at]
            if numbers[start] == ANYWHERE:
                yield Rows(part, None, places)
            else:
                wrong = next((row for row in range(start, at) if numbers[row] not in self._partitions), None)
                stop = at if wrong is None else wrong
                if stop > start:
                    yield Rows(part[: stop - start], where[start:stop], places)
                if wrong is not None:
                    raise InputError(f"{places.of(wrong)}: {self._has_no(numbers[wrong])}")
            start = at

    async def _finish(self, producer: AsyncProducer) -> None:
        """Until every record is delivered or given up."""
        try:
            await producer.flush()
        finally:
            await producer.close(timeout_ms=0)

    def _how_far(self) -> tuple[int, int]:
        share = self._delivered / self._taken if self._taken else 1.0
        return self._delivered, int(self._taken_bytes * share)

    def _is_waiting(self) -> bool:
        return self._delivered + self._failed < self._taken

    def _report(self, shown: Progress) -> None:
        shown.done(*self._how_far())
        if self.has_lost:
            lost = self._taken - self._delivered
            reason = self._failure or "it was not waited for"
            click.echo(f"ottla: {lost} of {self._taken} records were not delivered: {reason}", err=True)
