"""Follows the store and tells this node's parts of each change, whoever made it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from ottla.metadata import model
from ottla.metadata.image import ImageDelta, MetadataImage, image_at
from ottla.metadata.transaction import Event, MetadataFormatError
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.interface import CompactedError, Store, StoreError, read_all

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_REACH_TIMEOUT_S = 60.0
"""Within this a change is applied here, or whoever asked for it is told that it takes longer."""


class MetadataSubscriber(Protocol):
    """A part of this node that has to agree with the metadata."""

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Take over what `delta` says has changed; `image` is the present one."""


class Publisher:
    """Holds the image of what the cluster knows.

    It changes only by what the store's watch says, after this node's own commits too. Each delta goes to one
    subscriber after another, and the next delta follows when all have taken this one over.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subscribers: Sequence[MetadataSubscriber] = ()
        self._image = MetadataImage()
        self.unclean_elections = 0
        """How many there were since the start"""
        self._reached = 0  # everything up to this revision is applied
        self._advanced = asyncio.Event()  # set with the next advance; then another takes its place
        self._publishing = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    @property
    def image(self) -> MetadataImage:
        """What the cluster knows at this moment."""
        return self._image

    async def load(self) -> MetadataImage:
        """Read what is present, without telling anybody; raises StoreError and MetadataFormatError."""
        present = await read_all(self._store)
        self._image = image_at(present.revision, present.entries)
        self._reached = present.revision
        return self._image

    def start(self, subscribers: Sequence[MetadataSubscriber]) -> None:
        """Follow what comes after the image that was loaded; `subscribers` agree with that one already."""
        self._subscribers = subscribers
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Tell nobody any more; the delta under way is taken over as a whole."""
        if self._following is None:
            return
        async with self._publishing:
            self._following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._following

    async def reach(self, revision: int) -> None:
        """Return when everything up to `revision` has been taken over here.

        Raises KafkaError(request_timed_out) when that takes too long.
        """
        try:
            async with asyncio.timeout(_REACH_TIMEOUT_S):
                while self._reached < revision:
                    if self._failure is not None:
                        raise KafkaError(
                            ErrorCode.unknown_server_error, f"cannot follow the metadata: {self._failure}"
                        )
                    await self._advanced.wait()
        except TimeoutError:
            raise KafkaError(
                ErrorCode.request_timed_out, "The change was made, but is not applied here yet."
            ) from None

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncGenerator[MetadataImage]:
        """Between two deltas: subscribers are told of nothing meanwhile."""
        async with self._publishing:
            yield self._image

    async def _follow(self) -> None:
        while True:
            try:
                try:
                    await self._follow_watch()
                except CompactedError:
                    await self._catch_up()
            except StoreError as error:
                log.error("cannot follow the metadata, will try again: %s", error)
                await asyncio.sleep(_RETRY_S)
            except MetadataFormatError as error:
                log.critical("cannot follow the metadata any more: %s", error)
                self._failure = error
                self._advance(self._reached)
                return

    async def _follow_watch(self) -> None:
        async with contextlib.aclosing(self._store.watch("", self._reached + 1)) as watch:
            async for revision in watch:
                await self._publish(revision.number, *self._image.apply(revision.events))

    async def _catch_up(self) -> None:
        """Go on from the present when the history in between is gone."""
        try:
            present = await read_all(self._store)
        except CompactedError:
            return  # faster than we could read: the watch will say so again
        image = image_at(present.revision, present.entries)
        again = [each for each in image.delta_from(self._image).topics_deleted if each.name in image.topics]
        if again:  # As if we had seen each of them go before another got its name.
            gone = [Event(self._reached, model.topic_key(topic.name), None) for topic in again]
            await self._publish(self._reached, *self._image.apply(gone))
        await self._publish(present.revision, image, image.delta_from(self._image))

    async def _publish(self, revision: int, image: MetadataImage, delta: ImageDelta) -> None:
        async with self._publishing:
            self._image = image
            self.unclean_elections += delta.unclean_elections
            if delta != _UNCHANGED:
                for subscriber in self._subscribers:
                    try:
                        await subscriber.on_metadata(delta, image)
                    except Exception:
                        log.exception("%s failed at revision %d", type(subscriber).__name__, revision)
            self._advance(revision)

    def _advance(self, revision: int) -> None:
        self._reached = revision
        advanced, self._advanced = self._advanced, asyncio.Event()
        advanced.set()


_UNCHANGED = ImageDelta()
