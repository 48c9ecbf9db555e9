"""Changing the finalized levels of features (KIP-584, KIP-1022): all that a request names, or none."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from ottla.metadata import model
from ottla.metadata.acls import ACLS
from ottla.metadata.credentials import SCRAM
from ottla.metadata.image import MetadataImage
from ottla.metadata.plan import Plan, Step
from ottla.metadata.quotas import QUOTAS
from ottla.metadata.tokens import TOKENS
from ottla.metadata.transaction import Compare, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError

WRITTEN_SINCE: Final[Mapping[str, int]] = MappingProxyType(
    {ACLS: 1, SCRAM: 1, QUOTAS: 1, model.CORDONED: 2, model.CLIENT_METRICS: 2, TOKENS: 2}
)
"""The level of `ottla.metadata.version` from which on keys that begin so may be written. Brokers that do not
serve that level could not read them, and would stop."""


class UpgradeType(enum.IntEnum):
    """Which way a level may go, by the protocol's number. No downgrade loses more than the feature."""

    UPGRADE = 1
    SAFE_DOWNGRADE = 2
    UNSAFE_DOWNGRADE = 3


class FeatureUpdate(NamedTuple):
    """`upgrade_type` is the protocol's number, known or not; level 0 is to be without the feature."""

    feature: str
    level: int
    upgrade_type: int


def update_features(image: MetadataImage, updates: Sequence[FeatureUpdate]) -> Plan[str, int]:
    """Set each feature to its level; of several updates of one feature the last counts, as in Kafka.

    Raises KafkaError(invalid_update_version) for the first that cannot be.
    """
    wanted = {update.feature: update for update in updates}
    for update in wanted.values():
        _check(image, update)
    results = {name: update.level for name, update in wanted.items()}
    levels = {name: level for name, level in {**image.features, **results}.items() if level}
    if levels == image.features:
        return Plan((), results)
    change = Transaction(
        compares=(Compare.unchanged(model.FEATURES, image.features_epoch),),
        writes=(Put(model.FEATURES, model.encode_features(levels)),),
    )
    return Plan((Step(change, tuple(wanted)),), results)


def check_may_be_written(image: MetadataImage, transaction: Transaction) -> None:
    """Raises KafkaError(unsupported_version) for keys that other brokers of the cluster may not know yet."""
    level = _level(image)
    if level == model.SUPPORTED_FEATURES[model.OTTLA_METADATA_VERSION][1]:
        return
    for prefix, since in WRITTEN_SINCE.items():
        if level < since and any(
            isinstance(write, Put) and write.key.startswith(prefix) for write in transaction.writes
        ):
            raise KafkaError(
                ErrorCode.unsupported_version,
                f"The cluster has {model.OTTLA_METADATA_VERSION} at level {level}, and this takes {since}: "
                "raise it once all brokers run a version that has it.",
            )


def may_be_written(image: MetadataImage, prefix: str) -> bool:
    """Whether all brokers of the cluster can read keys of `WRITTEN_SINCE` that begin so."""
    return _level(image) >= WRITTEN_SINCE[prefix]


def _level(image: MetadataImage) -> int:
    return image.features.get(model.OTTLA_METADATA_VERSION, 0)


def _check(image: MetadataImage, update: FeatureUpdate) -> None:
    name, level = update.feature, update.level
    current = image.features.get(name, 0)
    lowest, newest = _served(image, name)
    if update.upgrade_type not in list(UpgradeType):
        reason = f"{update.upgrade_type} is no type of upgrade."
    elif newest == 0:
        reason = "This cluster does not have the feature."
    elif not lowest <= level <= newest:
        reason = f"This cluster has its levels from {lowest} to {newest}."
    elif level < current and name == model.OTTLA_METADATA_VERSION:
        reason = "What was written since would not be read any more."
    elif level < current and update.upgrade_type == UpgradeType.UPGRADE:
        reason = f"That is below its level, {current}, which takes a downgrade."
    elif level > current and update.upgrade_type != UpgradeType.UPGRADE:
        reason = f"That is above its level, {current}, which takes an upgrade."
    else:
        return
    text = f"No feature was changed: {name} cannot have level {level}. {reason}"
    raise KafkaError(ErrorCode.invalid_update_version, text)


def _served(image: MetadataImage, name: str) -> tuple[int, int]:
    """The lowest and newest level that all brokers have, also those that are away: they are to come back."""
    lowest, newest = model.SUPPORTED_FEATURES.get(name, (0, 0))
    for broker in {**image.known_brokers, **image.brokers}.values():
        if broker.features:  # which single nodes of older versions do not tell
            its_lowest, its_newest = broker.features.get(name, (0, 0))
            lowest, newest = max(lowest, its_lowest), min(newest, its_newest)
    return lowest, newest
