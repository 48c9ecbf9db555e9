"""Consumers, alone and in groups: batches as columns, or records one by one."""

from ottla.client.consumer.batch import Batch
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.consumer.errors import (
    CommitFailedError,
    DeadLetterError,
    NoOffsetError,
    UnreadableRecordsError,
)
from ottla.client.consumer.membership import RebalanceListener
from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.core.offsets import CommittedOffset

__all__ = [
    "AsyncConsumer",
    "Batch",
    "CommitFailedError",
    "CommittedOffset",
    "ConsumerSettings",
    "DeadLetterError",
    "NoOffsetError",
    "RebalanceListener",
    "UnreadableRecordsError",
]
