"""What a consumer tells its application, beside what every client does."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.client.core.metadata import TopicPartition
from ottla.client.core.positions import PositionError
from ottla.client.errors import ClientError
from ottla.protocol.errors import ErrorCode


class CommitFailedError(ClientError):
    """The group has gone on without this member: what it read since is, or will be, read by others too.

    `codes` has what the coordinator answered for partitions; it is empty where it was not asked.
    """

    def __init__(self, text: str, codes: Mapping[TopicPartition, ErrorCode]) -> None:
        super().__init__(text)
        self.codes = dict(codes)


class NoOffsetError(ClientError):
    """Partitions without a position, which `auto.offset.reset=none` leaves to the application: seek."""

    def __init__(self, errors: list[PositionError]) -> None:
        texts = [f"{each.partition.topic}-{each.partition.partition}: {each.reason}" for each in errors]
        super().__init__("; ".join(texts))
        self.errors = errors


class UnreadableRecordsError(ClientError):
    """Records that cannot be decoded. The position stays before them: seek past `offset` to go on."""

    def __init__(self, text: str, code: ErrorCode, partition: TopicPartition, offset: int) -> None:
        super().__init__(text)
        self.code = code
        self.partition = partition
        self.offset = offset


class DeadLetterError(ClientError):
    """A broken value did not get to its dead letter topic, so what was read with it is not committed. Told
    once: a commit after it goes past that value.
    """
