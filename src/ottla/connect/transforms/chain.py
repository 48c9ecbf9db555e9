"""A connector's transforms, one behind the other, each perhaps only for some records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ottla.connect.records import ConnectRecord
from ottla.connect.transforms.interface import Predicate, Record, Transformation

__all__ = ["Stage", "TransformationChain"]


class Stage(NamedTuple):
    """One transform: for all records, for those that the predicate holds of, or, negated, for the others."""

    name: str
    transformation: Transformation
    predicate: Predicate | None = None
    negate: bool = False

    def applies_to(self, record: ConnectRecord) -> bool:
        return self.predicate is None or self.predicate.test(record) != self.negate


class TransformationChain:
    """All transforms of a connector, in order."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages: Final = stages

    def apply(self, record: Record) -> Record | None:
        """The record to go on with; None where a transform dropped it. Raises what a transform raises."""
        for stage in self.stages:
            if stage.applies_to(record):
                changed = stage.transformation.apply(record)
                if changed is None:
                    return None
                record = changed
        return record

    def close(self) -> None:
        for stage in self.stages:
            stage.transformation.close()
            if stage.predicate is not None:
                stage.predicate.close()
