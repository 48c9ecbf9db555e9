"""Creates, grows and deletes topics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from ottla.config.controller import ControllerConfig
from ottla.config.current import Current
from ottla.config.groups import GroupCoordinatorConfig
from ottla.config.transactions import TransactionConfig
from ottla.controller.commit import Committer
from ottla.metadata import topics
from ottla.metadata.image import ImageSource
from ottla.metadata.model import Topic
from ottla.metadata.topic_names import OFFSETS_TOPIC, TRANSACTIONS_TOPIC
from ottla.metadata.topics import NewPartitions, NewTopic, Take, unlimited
from ottla.protocol.errors import ErrorCode, KafkaError

log = logging.getLogger(__name__)


class TopicController:
    """What clients change of topics; each item's result, or why it was refused."""

    def __init__(
        self, committer: Committer, config: Current[ControllerConfig], new_uuid: Callable[[], UUID]
    ) -> None:
        self._committer = committer
        self._config = config
        self._new_uuid = new_uuid

    async def create_topics(
        self, wanted: Sequence[NewTopic], *, validate_only: bool = False, take: Take = unlimited
    ) -> Mapping[str, Topic | KafkaError]:
        return await self._committer.change(
            lambda image: topics.create_topics(image, wanted, self._config.value, self._random_ids(), take),
            validate_only=validate_only,
        )

    async def create_partitions(
        self, wanted: Sequence[NewPartitions], *, validate_only: bool = False, take: Take = unlimited
    ) -> Mapping[str, Topic | KafkaError]:
        return await self._committer.change(
            lambda image: topics.create_partitions(image, wanted, take), validate_only=validate_only
        )

    async def delete_topics(
        self, names: Sequence[str], *, take: Take = unlimited
    ) -> Mapping[str, Topic | KafkaError]:
        return await self._committer.change(lambda image: topics.delete_topics(image, names, take))

    async def auto_create_topics(self, names: Iterable[str]) -> None:
        """Create what clients asked for by name alone; one that cannot be made stays unknown."""
        results = await self.create_topics([NewTopic(name) for name in dict.fromkeys(names)])
        for name, result in results.items():
            if isinstance(result, KafkaError) and result.code is not ErrorCode.topic_already_exists:
                log.warning("cannot create topic %s: %s", name, result.message or result.code.name)

    def _random_ids(self) -> Iterator[UUID]:
        while True:
            yield self._new_uuid()


def internal_factors(groups: GroupCoordinatorConfig, transactions: TransactionConfig) -> Mapping[str, int]:
    """How many replicas the topics of coordinators are to have."""
    return {
        OFFSETS_TOPIC: groups.offsets_topic_replication_factor,
        TRANSACTIONS_TOPIC: transactions.transaction_state_log_replication_factor,
    }


class InternalTopics:
    """Makes the topics of the coordinators when they are first used."""

    def __init__(
        self,
        topics: TopicController,
        metadata: ImageSource,
        groups: Current[GroupCoordinatorConfig],
        transactions: Current[TransactionConfig],
        *,
        in_cluster: bool = False,
    ) -> None:
        """In a cluster the topics wait for as many brokers as they have replicas; a single node has one."""
        self._in_cluster = in_cluster
        self._topics = topics
        self._metadata = metadata
        self._groups = groups
        self._transactions = transactions

    async def ensure_topic(self, name: str) -> None:
        """Create `__consumer_offsets`, or `__transaction_state`, on first use, and wait until it is loaded.

        Raises KafkaError(coordinator_not_available) when it cannot be made.
        """
        image = self._metadata.image
        if name in image.topics:
            return
        topic = self._offsets() if name == OFFSETS_TOPIC else self._transaction_state()
        if not self._in_cluster:
            topic = topic._replace(replication_factor=1)
        result = (await self._topics.create_topics([topic]))[name]
        if isinstance(result, KafkaError) and result.code is not ErrorCode.topic_already_exists:
            log.error("cannot create topic %s: %s", name, result.message or result.code.name)
            raise KafkaError(ErrorCode.coordinator_not_available, result.message)

    def _offsets(self) -> NewTopic:
        config = self._groups.value
        return NewTopic(
            OFFSETS_TOPIC,
            config.offsets_topic_num_partitions,
            config.offsets_topic_replication_factor,
            configs={
                "cleanup.policy": "compact",
                "compression.type": "producer",
                "segment.bytes": str(config.offsets_topic_segment_bytes),
            },
        )

    def _transaction_state(self) -> NewTopic:
        config = self._transactions.value
        return NewTopic(
            TRANSACTIONS_TOPIC,
            config.transaction_state_log_num_partitions,
            config.transaction_state_log_replication_factor,
            configs={
                "cleanup.policy": "compact",
                "compression.type": "uncompressed",
                "min.insync.replicas": str(config.transaction_state_log_min_isr),
                "segment.bytes": str(config.transaction_state_log_segment_bytes),
                "unclean.leader.election.enable": "false",
            },
        )
