"""Opens the logs of a broker that starts, in the folders that the metadata says they may lie in."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from ottla.broker.membership import Membership
from ottla.controller.registration import note_log_dirs
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import KafkaError
from ottla.replica.data_dirs import DataDirs
from ottla.replica.folders import LogFolders
from ottla.replica.log_moves import LogMoves
from ottla.replica.partitions import Partitions
from ottla.store.interface import Store


@dataclass(frozen=True, slots=True)
class Opening:
    """Of one broker's logs."""

    node_id: int
    store: Store
    membership: Membership
    data_dirs: DataDirs
    folders: LogFolders
    partitions: Partitions
    log_moves: LogMoves

    async def open(self, image: MetadataImage) -> None:
        """All that the image has of this broker."""
        known = image.log_dirs.get(self.node_id, ())
        known = await self._note(known, self.data_dirs.expect(known))
        self.data_dirs.begin()
        moves = self.folders.clear(image.topics)
        for topic in image.topics.values():
            await self.partitions.open_topic(topic, is_new=False)
        if not self.partitions.any_is_missing():
            await self._note(known, self.data_dirs.expect_no_more())
        for move in moves:
            with contextlib.suppress(KafkaError):  # it is not here any more, or its folder is cordoned
                self.log_moves.begin(*move)

    async def _note(self, known: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
        """Have it in the metadata where replicas may lie, unless there was never more than one folder."""
        if now != known and len(known) + len(now) > 1:
            await self.membership.when_reached(lambda: note_log_dirs(self.store, self.node_id, now))
        return now
