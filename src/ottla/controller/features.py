"""Changes the finalized levels of features, and gives a new cluster its first ones."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.controller.commit import Committer
from ottla.metadata import features, model
from ottla.metadata.features import FeatureUpdate
from ottla.metadata.transaction import Compare, Put, Transaction
from ottla.store.interface import Store


class FeatureController:
    """What clients change of the features."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def update_features(self, updates: Sequence[FeatureUpdate], *, validate_only: bool = False) -> None:
        """All of them, or none: raises KafkaError(invalid_update_version), and as `Committer.change`."""
        await self._committer.change(
            lambda image: features.update_features(image, updates), validate_only=validate_only
        )


async def finalize_newest(store: Store) -> None:
    """Give a cluster that has nothing yet the newest level of each feature, to keep over updates of Ottla.

    Raises StoreError and OutcomeUnknownError; then it may be called again.
    """
    put = Put(model.FEATURES, model.encode_features(model.NEWEST_FEATURES))
    first = Transaction(compares=(Compare.absent(model.FEATURES),), writes=(put,))
    if not (await store.range("", limit=1)).entries:
        await store.transaction(first)  # another broker may have been first
