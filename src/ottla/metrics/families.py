"""Families of samples in Prometheus' terms; who shows them, and in which format, is not said here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class Kind(StrEnum):
    """What may be done with the values of a family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    SUMMARY = "summary"


class Family(NamedTuple):
    """Values of one meaning, told apart by their labels."""

    name: str
    """As Prometheus shows it; a counter's without `_total`"""
    kind: Kind
    help: str
    """One sentence"""
    labels: tuple[str, ...] = ()

    def of(self, *samples: Sample) -> Metric:
        """These values, each with the values of its labels in their order."""
        return Metric(self, samples)


class Distribution(NamedTuple):
    """What a summary says: how often was measured, what all comes to, and where the quantiles lie."""

    times: int
    total: float
    quantiles: Mapping[float, float]


Sample: TypeAlias = tuple[tuple[str, ...], float | Distribution]
"""The values of the labels, and the value; a `Distribution` for summaries"""


class Metric(NamedTuple):
    """A family's values at one moment."""

    family: Family
    samples: Sequence[Sample]
