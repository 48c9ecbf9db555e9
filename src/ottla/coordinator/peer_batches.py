"""Questions of coordinators to other brokers, together as they come: one request at a time to each."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from ottla.metadata.image import ImageDelta, MetadataImage
    from ottla.network.peers import Channel

log = logging.getLogger(__name__)

_TOGETHER = 500
"""In one request, at most"""

Q = TypeVar("Q")
A = TypeVar("A")

Send: TypeAlias = Callable[["Channel", Sequence[Q]], Awaitable[Sequence[A]]]
"""Asks a peer all of this in one request; an answer for each. Raises OSError."""


class _Peer(Generic[Q, A]):
    """What is to be asked of one broker."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self.asking: asyncio.Task[None] | None = None


class PeerBatches(Generic[Q, A]):
    """While a broker is asked, what is to be asked of it gathers for the next request.

    Nothing bounds what waits but that each question stands for a request, or a transaction, that is bounded.
    """

    def __init__(
        self, channel: Callable[[int], Channel], send: Send[Q, A], subject: Callable[[Q], Hashable]
    ) -> None:
        """`channel` opens one of our own to a broker. Answers are told apart by their `subject`, which so may
        be only once in a request.
        """
        self._channel = channel
        self._send = send
        self._subject = subject
        self._peers: dict[int, _Peer[Q, A]] = {}

    async def ask(self, node_id: int, question: Q) -> A:
        """What the broker answers. Raises OSError: it may have done what it was asked all the same."""
        peer = self._peers.get(node_id)
        if peer is None:
            peer = self._peers[node_id] = _Peer(self._channel(node_id))
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        peer.waiting.append((question, answer))
        if peer.asking is None:
            peer.asking = loop.create_task(self._ask_all(peer))
        return await answer

    async def _ask_all(self, peer: _Peer[Q, A]) -> None:
        try:
            while peer.waiting:
                await self._ask_some(peer)
        finally:
            peer.asking = None

    async def _ask_some(self, peer: _Peer[Q, A]) -> None:
        together = self._take(peer.waiting)
        failure: OSError = ConnectionError("given up")
        answers: Sequence[A] = ()
        try:
            answers = await self._send(peer.channel, [question for question, _ in together])
        except OSError as error:
            failure = error
        except Exception:  # whatever it is, others still wait
            log.exception("cannot ask a broker")
        finally:
            for number, (_, answer) in enumerate(together):
                if answer.done():
                    continue  # nobody waits any more
                if answers:
                    answer.set_result(answers[number])
                else:
                    answer.set_exception(failure)

    def _take(self, waiting: deque[tuple[Q, asyncio.Future[A]]]) -> list[tuple[Q, asyncio.Future[A]]]:
        """The next ones, up to the first that has the subject of one before it."""
        subjects: set[Hashable] = set()
        together: list[tuple[Q, asyncio.Future[A]]] = []
        while waiting and len(together) < _TOGETHER:
            subject = self._subject(waiting[0][0])
            if subject in subjects:
                break
            subjects.add(subject)
            together.append(waiting.popleft())
        return together

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Wait no longer for brokers that have gone: others take their place."""
        for node_id in delta.brokers_changed:
            if node_id in self._peers and node_id not in image.brokers:
                self._peers[node_id].channel.disconnect()

    def stop(self) -> None:
        """Ask no more: what waits fails."""
        for peer in self._peers.values():
            if peer.asking is not None:
                peer.asking.cancel()
            for _, answer in peer.waiting:
                if not answer.done():
                    answer.set_exception(ConnectionError("this broker stops"))
            peer.waiting.clear()
            peer.channel.close()
        self._peers.clear()
