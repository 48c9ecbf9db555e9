"""What becomes of roles as brokers come and go, this one among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottla.clock import Clock
    from ottla.metadata.image import ImageDelta, ImageSource, MetadataImage
    from ottla.replica.partitions import Partitions


class Standing:
    """Whether this broker may lead: while it holds its lease, and the cluster has taken it back under that.

    Before, it may be said to lead by a state of its last life, in whose epoch it wrote what it has lost.
    """

    def __init__(
        self, node_id: int, partitions: Partitions, metadata: ImageSource, own_epoch: Callable[[], int]
    ) -> None:
        """`own_epoch` is that of our registration, as we know it."""
        self._node_id = node_id
        self._partitions = partitions
        self._metadata = metadata
        self._own_epoch = own_epoch
        self._has_lease = False
        self._stands = False
        partitions.stand_down()

    def lease_in_doubt(self) -> None:
        """Lead nothing."""
        self._has_lease = self._stands = False
        self._partitions.stand_down()

    def lease_renewed(self) -> None:
        """Lead, if the cluster says so."""
        self._has_lease = True
        self._look(self._metadata.image)

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        if self._node_id in delta.brokers_changed:
            self._look(image)

    def _look(self, image: MetadataImage) -> None:
        me = image.brokers.get(self._node_id)
        is_taken_back = me is not None and me.epoch == self._own_epoch() and not image.is_fenced(me.node_id)
        if self._has_lease and is_taken_back and not self._stands:
            self._stands = True
            self._partitions.stand_up(image.topics.values())


class Rejoining:
    """Has leaders look again at followers whose brokers came back: their fetches may have come before."""

    def __init__(self, partitions: Partitions, clock: Clock) -> None:
        self._partitions = partitions
        self._clock = clock

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        if not any(image.is_active(node_id) for node_id in delta.brokers_changed):
            return
        now_ms = self._clock.monotonic_ms()
        for partition in self._partitions.led():
            partition.consider_joining(now_ms)
