"""A watch that goes on at another member when its own is silent, and neither loses nor doubles a revision."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable
from itertools import groupby
from typing import Final

import grpc

from ottla.metadata.transaction import Event
from ottla.store.etcd import messages_pb2 as pb
from ottla.store.etcd.keys import Keys
from ottla.store.etcd.members import (
    WATCH,
    Member,
    Members,
    Stream,
    UnfitServerError,
    UnreachableError,
    in_words,
    refusal,
)
from ottla.store.interface import CompactedError, Revision, StoreError

log = logging.getLogger(__name__)

_BEAT_S: Final = 1.0
"""So often a member is asked how far it is, which shows that it lives."""
_SILENCE_S: Final = 3 * _BEAT_S
_PAUSE_S: Final = 0.1
_EVENTS_MAX: Final = 200_000
"""In one answer that comes in fragments: more than a thousand transactions of 128 writes at once make."""


class Watch:
    """One watch; `hasten` has it say soon how far it is."""

    def __init__(
        self, members: Members, keys: Keys, prefix: str, from_revision: int, attempt_s: float
    ) -> None:
        self._members = members
        self._keys = keys
        self._prefix = prefix
        self.next_revision = from_revision
        """Everything before it was given."""
        self._attempt_s = attempt_s
        self._hastened = asyncio.Event()
        self._history_begins = 1

    def hasten(self) -> None:
        self._hastened.set()

    async def revisions(self) -> AsyncGenerator[Revision]:
        """As `Store.watch`; members that cannot be reached are waited for.

        It ends with CompactedError, and with StoreError for a refusal that is no use to repeat.
        """
        is_told = False
        while True:
            member = self._members.current
            try:
                await member.prepare(self._attempt_s)
                async with contextlib.aclosing(self._of_member(member)) as revisions:
                    async for revision in revisions:
                        self.next_revision = revision.number + 1
                        is_told = False
                        yield revision
            except UnfitServerError:
                raise
            except (grpc.aio.AioRpcError, ConnectionError, TimeoutError, UnreachableError) as error:
                if isinstance(error, grpc.aio.AioRpcError):
                    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                        member.log_in_again()
                    elif (refused := refusal(error)) is not None:
                        raise refused from error
                if not is_told:
                    log.info("the watch of the metadata goes on at the next member: %s", in_words(error))
                    is_told = True
                self._members.pass_on(member)
            await asyncio.sleep(_PAUSE_S)

    async def _of_member(self, member: Member) -> AsyncGenerator[Revision]:
        async with member.stream(WATCH) as stream:
            key, end = self._keys.bounds(self._prefix)
            # A member does not say how far it is to who waits for revisions that are all to come, so the last
            # one is asked for once more.
            first = max(self.next_revision - 1, self._history_begins)
            create = pb.WatchCreateRequest(
                key=key, range_end=end, start_revision=first, progress_notify=True, fragment=True
            )
            await stream.write(pb.WatchRequest(create=create))
            beats = asyncio.create_task(self._ask_how_far(stream))
            try:
                async for header, events in self._whole(stream):
                    for number, changes in groupby(events, key=lambda event: event.kv.mod_revision):
                        if number >= self.next_revision:
                            own = sorted(map(self._event, changes), key=lambda event: event.key)
                            yield Revision(number, tuple(own))
                    if not events and header.revision >= self.next_revision:
                        yield Revision(header.revision)
            finally:
                beats.cancel()

    async def _ask_how_far(self, stream: Stream) -> None:
        question = pb.WatchRequest(progress=pb.WatchProgressRequest())
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # who reads will see it
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_BEAT_S):
                        await self._hastened.wait()
                self._hastened.clear()
                await stream.write(question)

    async def _whole(self, stream: Stream) -> AsyncGenerator[tuple[pb.Header, list[pb.Event]]]:
        """What a member says, its fragments together; silence is a TimeoutError."""
        events: list[pb.Event] = []
        while True:
            async with asyncio.timeout(_SILENCE_S):
                answer = await stream.read()
            if answer is None:
                raise ConnectionError("it ended the watch")
            assert isinstance(answer, pb.WatchResponse)
            if answer.compact_revision:
                self._history_begins = answer.compact_revision
                if answer.compact_revision <= self.next_revision:
                    raise ConnectionError("only the revision before is gone")
                raise CompactedError(f"the history before revision {answer.compact_revision} is gone")
            if answer.canceled:
                raise ConnectionError(f"it ended the watch: {answer.cancel_reason}")
            if answer.created:
                continue
            events += answer.events
            if len(events) > _EVENTS_MAX:
                raise StoreError(f"a member gives more than {_EVENTS_MAX} changes at once")
            if not answer.fragment:
                yield answer.header, events
                events = []

    def _event(self, event: pb.Event) -> Event:
        key, value = self._keys.own(event.kv.key), event.kv.value
        return Event(event.kv.mod_revision, key, None if event.type == pb.Event.DELETE else value)


def hasten_all(watches: Iterable[Watch], revision: int) -> None:
    """Those that are not yet at `revision` are to say soon that they are: somebody waits for it."""
    for watch in watches:
        if watch.next_revision <= revision:
            watch.hasten()
