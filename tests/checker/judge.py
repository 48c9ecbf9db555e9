"""The verdict on a history."""

from __future__ import annotations

from collections.abc import Iterable

from tests.checker.facts import Anomaly, Facts
from tests.checker.history import History
from tests.checker.offsets import Transform, wrong_offsets, wrong_outputs
from tests.checker.reading import unseen_without_offset, watermarks_backwards, wrong_positions, wrong_reads
from tests.checker.writing import cycles, nonmonotonic_sends, zombies


def judge(history: History, transforms: Iterable[Transform] = ()) -> list[Anomaly]:
    """All that must not be in a history; in time that grows with it, some seconds for 100,000 operations.

    Raises ValueError where a value was sent to a partition twice.
    """
    facts = Facts(history)
    found = facts.anomalies
    for check in (
        wrong_reads,
        wrong_positions,
        unseen_without_offset,
        watermarks_backwards,
        nonmonotonic_sends,
        zombies,
        cycles,
        wrong_offsets,
    ):
        found += check(facts)
    for transform in transforms:
        found += wrong_outputs(facts, transform)
    return found
