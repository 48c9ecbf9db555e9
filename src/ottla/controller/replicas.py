"""Has leaders elected, replicas moved and brokers forgotten, as clients ask for it.

How that is decided is loaded when they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ottla.config.controller import ControllerConfig
    from ottla.config.current import Current
    from ottla.controller.commit import Committer
    from ottla.metadata.model import PartitionState
    from ottla.protocol.errors import KafkaError
    from ottla.replication.elections import Election
    from ottla.replication.leadership import TopicPartition


class ReplicaController:
    """Each partition's state as it is then, or why it was refused."""

    def __init__(self, committer: Committer, config: Current[ControllerConfig]) -> None:
        self._committer = committer
        self._config = config

    async def elect_leaders(
        self, partitions: Iterable[TopicPartition] | None, election: Election
    ) -> Mapping[TopicPartition, PartitionState | KafkaError]:
        """`partitions` may be None for all."""
        from ottla.replication.leadership import all_partitions, elect_leaders

        asked = None if partitions is None else list(partitions)
        return await self._committer.change(
            lambda image: elect_leaders(
                image, self._config.value, all_partitions(image) if asked is None else asked, election
            )
        )

    async def alter_reassignments(
        self, wanted: Mapping[TopicPartition, Sequence[int] | None], *, allow_factor_change: bool
    ) -> Mapping[TopicPartition, PartitionState | KafkaError]:
        """None takes a partition's move back. The controller finishes moves when the replicas are in sync."""
        from ottla.replication.moves import alter_reassignments

        return await self._committer.change(
            lambda image: alter_reassignments(
                image, self._config.value, wanted, allow_factor_change=allow_factor_change
            )
        )

    async def unregister_broker(self, node_id: int) -> None:
        """Raises KafkaError: broker_id_not_registered, invalid_request, and as `Committer.change`."""
        from ottla.metadata.membership import unregister_broker

        await self._committer.change(lambda image: unregister_broker(image, node_id))
