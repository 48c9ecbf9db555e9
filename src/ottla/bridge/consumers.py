"""The consumers that HTTP's clients have made here, each of a name in its group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

from ottla.bridge.bodies import PartitionOffset, PartitionRef
from ottla.bridge.media import Format
from ottla.bridge.records import NotJsonError, received
from ottla.client.columns.columns import Record
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.consumer.subscription import Matcher
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset
from ottla.client.errors import ClientClosedError, ClientError, ConfigurationError
from ottla.http.errors import HttpError

_log: Final = logging.getLogger(__name__)
_EXCLUSIVE: Final = "Subscriptions to topics, partitions, and patterns are mutually exclusive."
Gone = Callable[[], Coroutine[None, None, None]]
"""Ends when nobody waits for an answer any more."""
NOT_FOUND: Final = "The specified consumer instance was not found."


class InstanceId(NamedTuple):
    principal: str
    """Whose it is: others do not see it"""
    group: str
    name: str


class Instance:
    """One consumer. Requests to it take their turns; HttpError says what is wrong with one."""

    def __init__(
        self, consumer: AsyncConsumer, format_: Format, request_s: float, now_s: Callable[[], float]
    ) -> None:
        self.format: Final = format_
        self.request_s: Final = request_s
        """How long a request may wait for records"""
        self._consumer = consumer
        self._now_s = now_s
        self._turns = asyncio.Lock()
        self._subscribed = False
        self._assigned = False
        self.used_s = now_s()
        """When it was asked for last"""

    @property
    def is_busy(self) -> bool:
        return self._turns.locked()

    def touch(self) -> None:
        self.used_s = self._now_s()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with self._turns:
            try:
                yield
            except ClientClosedError:  # it was deleted meanwhile
                raise HttpError(404, NOT_FOUND) from None
            finally:
                self.touch()

    async def subscribe(self, topics: list[str] | None, pattern: str | None) -> None:
        async with self._turn():
            if (topics is not None and pattern is not None) or self._assigned:
                raise HttpError(409, _EXCLUSIVE)
            if pattern is not None:
                self._consumer.subscribe(pattern=_matcher(pattern))
            elif topics:
                self._consumer.subscribe(topics)
            elif topics is None:
                raise HttpError(422, "A list (of Topics type) or a topic_pattern must be specified.")
            else:
                await self._consumer.unsubscribe()
            self._subscribed = pattern is not None or bool(topics)

    async def assign(self, partitions: Iterable[PartitionRef]) -> None:
        async with self._turn():
            if self._subscribed:
                raise HttpError(409, _EXCLUSIVE)
            wanted = [(each.topic, each.partition) for each in partitions]
            self._consumer.assign(wanted)
            self._assigned = bool(wanted)

    async def unsubscribe(self) -> None:
        async with self._turn():
            await self._consumer.unsubscribe()
            self._subscribed = self._assigned = False

    def assignment(self) -> dict[str, list[int]]:
        """By topic."""
        found: dict[str, list[int]] = {}
        for topic, partition in sorted(self._consumer.assignment()):
            found.setdefault(topic, []).append(partition)
        return found

    async def poll(self, timeout_s: float, max_bytes: int, until_gone: Gone) -> bytes:
        """A JSON array of the next records. What has no room in it comes with the next poll, and everything
        does where whoever asked is gone before there is something."""
        async with self._turn():
            if not self._subscribed and not self._assigned:
                raise HttpError(500, "Consumer is not subscribed to any topics or assigned any partitions")
            records, is_gone = await self._next(timeout_s, until_gone)
            if is_gone:
                self._seek_back(records, 0)
                raise HttpError(400, "The answer was not waited for")
            try:
                body, rest = received(self.format, records, max_bytes)
            except NotJsonError as error:
                self._seek_back(records, 0)
                raise HttpError(406, str(error)) from None
            if rest is not None:
                self._seek_back(records, records.index(rest))
                if rest is records[0]:
                    raise HttpError(
                        422, "Response exceeds the maximum number of bytes the consumer can receive"
                    )
            return body

    async def _next(self, timeout_s: float, until_gone: Gone) -> tuple[list[Record], bool]:
        """The next records, if any, and whether nobody waits for them any more."""
        limit = asyncio.timeout(None)

        def end(_: asyncio.Future[None]) -> None:
            with suppress(RuntimeError):  # it is over
                limit.reschedule(0)

        batch = None
        leaving = asyncio.ensure_future(until_gone())
        leaving.add_done_callback(end)
        try:
            async with limit:
                batch = await self._consumer.poll(timeout_s=timeout_s)
        except TimeoutError:
            pass
        finally:
            is_gone = leaving.done()
            leaving.cancel()
        return [] if batch is None else list(batch.records()), is_gone

    def _seek_back(self, records: list[Record], first: int) -> None:
        """Have the record of that number, and all behind it, delivered again."""
        places: dict[TopicPartition, int] = {}
        for each in records[first:]:
            places.setdefault(TopicPartition(each.topic, each.partition), each.offset)
        for partition, offset in places.items():
            with suppress(ClientError):  # it was taken from the consumer: whoever has it now delivers it
                self._consumer.seek(partition, offset)

    async def seek(self, offsets: Iterable[PartitionOffset]) -> None:
        async with self._turn():
            places = {(each.topic, each.partition): each.offset for each in offsets}
            self._check_assigned(places)
            for partition, offset in places.items():
                self._consumer.seek(partition, offset)

    async def seek_to(self, partitions: Iterable[PartitionRef], *, end: bool) -> None:
        async with self._turn():
            places = [(each.topic, each.partition) for each in partitions]
            self._check_assigned(places)
            if places:
                (self._consumer.seek_to_end if end else self._consumer.seek_to_beginning)(places)

    def _check_assigned(self, partitions: Iterable[tuple[str, int]]) -> None:
        assigned = self._consumer.assignment()
        for topic, partition in partitions:
            if (topic, partition) not in assigned:
                raise HttpError(404, f"No current assignment for partition {topic}-{partition}")

    async def commit(self, offsets: Iterable[PartitionOffset] | None, timeout_s: float) -> None:
        """These, or what was delivered."""
        given = None
        if offsets is not None:
            given = {
                TopicPartition(each.topic, each.partition): CommittedOffset(
                    each.offset, metadata=each.metadata
                )
                for each in offsets
            }
        async with self._turn():
            try:
                await self._consumer.commit(given, timeout_s=timeout_s)
            except TimeoutError:
                raise HttpError(500, f"The offsets were not committed within {timeout_s:g} s") from None

    async def close(self) -> None:
        await self._consumer.close()


def _matcher(pattern: str) -> Matcher:
    """In RE2's syntax, whose cost is linear whatever a client sends."""
    import re2

    try:
        compiled: Matcher = re2.compile(pattern)
    except re2.error as error:
        raise HttpError(422, f"topic_pattern: {error}") from None
    return compiled


class Consumers:
    """At most `most`; those that nobody asks for in `timeout_s` are closed, None: never."""

    def __init__(self, most: int, timeout_s: float | None, now_s: Callable[[], float]) -> None:
        self._most = most
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._instances: dict[InstanceId, Instance] = {}

    def has_of(self, principal: str) -> bool:
        return any(id_.principal == principal for id_ in self._instances)

    def __len__(self) -> int:
        return len(self._instances)

    def add(
        self, id_: InstanceId, make: Callable[[], AsyncConsumer], format_: Format, request_s: float
    ) -> Instance:
        """HttpError where there are too many, or there is one of that name."""
        if id_ in self._instances:
            raise HttpError(
                409, "A consumer instance with the specified name already exists in the Kafka Bridge."
            )
        if len(self._instances) >= self._most:
            raise HttpError(503, f"There are {self._most} consumers, and there may not be more")
        try:
            made = Instance(make(), format_, request_s, self._now_s)
        except ConfigurationError as error:
            raise HttpError(422, str(error)) from None
        self._instances[id_] = made
        return made

    def find(self, id_: InstanceId) -> Instance:
        """It is in use with that. HttpError where there is none."""
        found = self._instances.get(id_)
        if found is None:
            raise HttpError(404, NOT_FOUND)
        found.touch()
        return found

    async def remove(self, id_: InstanceId) -> None:
        """HttpError where there is none."""
        found = self._instances.pop(id_, None)
        if found is None:
            raise HttpError(404, NOT_FOUND)
        await found.close()

    async def keep_fresh(self) -> None:
        """Close the forgotten ones, until cancelled."""
        if self._timeout_s is None:
            return
        while True:
            await asyncio.sleep(max(self._timeout_s / 2, 0.05))
            await self.close_forgotten(self._timeout_s)

    async def close_forgotten(self, timeout_s: float) -> None:
        before = self._now_s() - timeout_s
        forgotten = [
            id_ for id_, each in self._instances.items() if each.used_s < before and not each.is_busy
        ]
        for id_ in forgotten:
            _log.warning(
                "consumer %r of group %r: nobody asked for it in %g s", id_.name, id_.group, timeout_s
            )
        await asyncio.gather(*map(self._closed, forgotten))

    async def close(self) -> None:
        await asyncio.gather(*map(self._closed, tuple(self._instances)))

    async def _closed(self, id_: InstanceId) -> None:
        try:
            await self.remove(id_)
        except Exception as error:  # noqa: BLE001 - others are closed all the same
            if not isinstance(error, ClientClosedError):
                _log.warning("consumer %r of group %r was not closed well: %s", id_.name, id_.group, error)
