"""The shards of one coordinator that are here: one for each partition of its topic that this broker leads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from ottla.coordination.runtime import Client, Effects, RequestInfo, Shard
    from ottla.coordinator.shard_owner import ShardOwner
    from ottla.metadata.image import ImageDelta, ImageSource, MetadataImage
    from ottla.replica.partition import Partition
    from ottla.replica.partitions import Partitions

log = logging.getLogger(__name__)

S = TypeVar("S", bound="Shard")
R = TypeVar("R")
T = TypeVar("T")
Answered: TypeAlias = R | Awaitable[R]
"""An answer, or the wait for it."""


_REMEMBERED_LENGTH: Final = 255
"""Of the longest names whose hashes are remembered: a client may name something much longer."""


def java_hash(text: str) -> int:
    """Java's String.hashCode, by which every Kafka broker maps a group or a transaction to a partition."""
    return _hash(text) if len(text) <= _REMEMBERED_LENGTH else _hash.__wrapped__(text)


@lru_cache(1_000)
def _hash(text: str) -> int:
    value = 0
    encoded = text.encode("utf-16-be", "surrogatepass")
    for high, low in zip(encoded[::2], encoded[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def partition_for(key: str, partition_count: int) -> int:
    """The partition of a coordinator's topic that holds a group, or a transactional id."""
    value = java_hash(key)
    return 0 if value == -(1 << 31) else abs(value) % partition_count


class Shards(Generic[S]):
    """Finds the shard of a key, and follows the topic: as it comes, grows and goes, and who leads it."""

    def __init__(
        self,
        topic: str,
        own: Callable[[Partition], ShardOwner[S]],
        partitions: Partitions,
        metadata: ImageSource,
    ) -> None:
        """`own` makes a shard for a partition, still to be loaded, and its owner."""
        self._topic = topic
        self._own = own
        self._partitions = partitions
        self._metadata = metadata
        self._owners: dict[int, ShardOwner[S]] = {}
        self._loading: dict[asyncio.Task[None], None] = {}
        self._is_stopped = False
        partitions.subscribe(self)

    def owner_of(self, key: str) -> ShardOwner[S]:
        """Who has this key. Raises KafkaError: not_coordinator, coordinator_load_in_progress."""
        topic = self._metadata.image.topics.get(self._topic)
        return self.owner_at(-1 if topic is None else partition_for(key, len(topic.partitions)))

    def owner_at(self, index: int) -> ShardOwner[S]:
        """Who has a partition of the topic; raises as `owner_of`."""
        owner = self._owners.get(index)
        if owner is None or owner.is_stopped:
            raise KafkaError(ErrorCode.not_coordinator)
        if owner.is_loading:
            raise KafkaError(ErrorCode.coordinator_load_in_progress)
        return owner

    def loaded(self) -> list[ShardOwner[S]]:
        """All that may be asked. Raises KafkaError(coordinator_load_in_progress) while one is loading."""
        owners = [owner for owner in self._owners.values() if not owner.is_stopped]
        if any(owner.is_loading for owner in owners):
            raise KafkaError(ErrorCode.coordinator_load_in_progress)
        return owners

    async def ask_all(
        self, client: Client, decide: Callable[[S, RequestInfo[list[R]], int], Effects]
    ) -> list[R]:
        """What all shards answer, together. Raises KafkaError(coordinator_load_in_progress)."""
        answers: list[R] = []
        for owner in self.loaded():
            answers += await settled(owner.ask(client, partial(decide, owner.shard)))
        return answers

    @property
    def serving(self) -> list[ShardOwner[S]]:
        """Those that may be asked."""
        return [owner for owner in self._owners.values() if not (owner.is_stopped or owner.is_loading)]

    @property
    def shards(self) -> list[S]:
        return [owner.shard for owner in self._owners.values()]

    async def load(self) -> None:
        """Take over the topic's partitions that are led here: replay each into a shard."""
        led = self._partitions.of_topic(self._topic)
        for owner in [self._take_over(each) for each in led if each.index not in self._owners]:
            await self._load(owner)

    def _take_over(self, partition: Partition) -> ShardOwner[S]:
        owner = self._owners[partition.index] = self._own(partition)
        return owner

    async def _load(self, owner: ShardOwner[S]) -> None:
        try:
            await owner.load(lambda: self._metadata.image)
        except KafkaError as error:
            if not owner.is_stopped:
                log.error("cannot load %s, what it holds is not served: %s", owner.partition, error)
            self._drop(owner)
        except Exception:  # the others must not wait for ever
            log.exception("cannot load %s, what it holds is not served", owner.partition)
            self._drop(owner)

    def leadership_changed(self, topic: str, index: int) -> None:
        """Give up at once what another broker leads now, and begin to load what this one does."""
        if topic != self._topic or self._is_stopped:
            return
        former = self._owners.get(index)
        if former is not None:
            self._drop(former)
        try:
            partition = self._partitions.get(topic, index)
        except KafkaError:
            return
        loading = asyncio.get_running_loop().create_task(self._load(self._take_over(partition)))
        self._loading[loading] = None
        loading.add_done_callback(self._loading.pop)

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Follow the topic, and tell every shard of the image. What is new has nothing to be replayed."""
        if any(topic.name == self._topic for topic in delta.topics_deleted):
            self._drop_all()
        for owner in self._owners.values():
            owner.on_image(image)
        new = (*delta.topics_created, *(topic for topic, _ in delta.partitions_added))
        if any(topic.name == self._topic for topic in new):
            await self.load()

    def stop(self) -> None:
        """Give all of them up, and take over none any more: whoever waits is answered, timers are dropped."""
        self._is_stopped = True
        for loading in self._loading:
            loading.cancel()
        self._drop_all()

    def _drop_all(self) -> None:
        for owner in list(self._owners.values()):
            self._drop(owner)

    def _drop(self, owner: ShardOwner[S]) -> None:
        if self._owners.get(owner.partition.index) is owner:
            del self._owners[owner.partition.index]
        owner.stop()


def following(answered: Answered[R], step: Callable[[R], T]) -> Answered[T]:
    """What follows from an answer; the wait for it where the answer must be waited for."""
    return _eventually(answered, step) if isinstance(answered, Awaitable) else step(answered)


async def _eventually(answered: Awaitable[R], step: Callable[[R], T]) -> T:
    return step(await answered)


def unless_refused(ask: Callable[[], Answered[R]], refused: Callable[[KafkaError], R]) -> Answered[R]:
    """The answer, or what is made of a refusal, that comes now or with the answer."""
    try:
        answered = ask()
    except KafkaError as error:
        return refused(error)
    return _unless_refused(answered, refused) if isinstance(answered, Awaitable) else answered


async def _unless_refused(answered: Awaitable[R], refused: Callable[[KafkaError], R]) -> R:
    try:
        return await answered
    except KafkaError as error:
        return refused(error)


def together(answers: Sequence[Answered[R]]) -> Answered[list[R]]:
    """All the answers; the wait for them where one must be waited for."""
    given = [each for each in answers if not isinstance(each, Awaitable)]
    return given if len(given) == len(answers) else _all_settled(answers)


async def _all_settled(answers: Sequence[Answered[R]]) -> list[R]:
    return [await settled(each) for each in answers]


async def settled(answered: Answered[R]) -> R:
    """The answer, waited for where it must be."""
    return await answered if isinstance(answered, Awaitable) else answered
