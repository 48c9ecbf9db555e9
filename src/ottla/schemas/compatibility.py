"""Which versions of a subject a new schema must agree with, and how."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from ottla.schemas.schema import NEW_READS_OLD, OLD_READS_NEW, Incompatibility, ParsedSchema

__all__ = ["CompatibilityLevel", "Refusal", "check"]


class CompatibilityLevel(StrEnum):
    """`compatibility` in the registry's API."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        """The new schema must read what the old ones wrote."""
        return self.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """The old schemas must read what the new one writes."""
        return self.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """All versions count, not only the latest."""
        return self.endswith("_TRANSITIVE")


class Refusal(NamedTuple):
    """The newest version that the new schema disagrees with, and why."""

    position: int
    """Of that version in what `check` was given."""
    reasons: Sequence[Incompatibility]
    """Never empty."""


def check(level: CompatibilityLevel, new: ParsedSchema, existing: Sequence[ParsedSchema]) -> Refusal | None:
    """Whether `new` may follow `existing`, oldest first. None if it may.

    Raises `InvalidSchemaError` if two schemas cannot be compared within the limits.
    """
    if level is CompatibilityLevel.NONE:
        return None
    positions = range(len(existing) - 1, -1, -1)
    for position in positions if level.transitive else positions[:1]:
        old = existing[position]
        reasons: list[Incompatibility] = []
        if level.forward:
            reasons += old.incompatibilities(new, OLD_READS_NEW)
        if level.backward and (new.kind is old.kind or not reasons):
            reasons += new.incompatibilities(old, NEW_READS_OLD)
        if reasons:
            return Refusal(position, reasons)
    return None
