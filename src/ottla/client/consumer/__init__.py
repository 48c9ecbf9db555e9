"""Consumers, alone and in groups: batches as columns, or records one by one. Loaded as they are asked for:
who reads tables needs no groups.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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

_MODULES: Final = {
    "AsyncConsumer": "consumer",
    "Batch": "batch",
    "CommittedOffset": "offsets",
    "ConsumerSettings": "settings",
    "RebalanceListener": "membership",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
