"""What is measured: one table of workloads for each subject."""

from __future__ import annotations

from bench.workloads import (
    consume,
    cores,
    footprint,
    groups,
    latency,
    produce,
    recovery,
    requests,
    transactions,
)
from bench.workloads.model import Workload

WORKLOADS: tuple[Workload, ...] = (
    *produce.WORKLOADS,
    *transactions.WORKLOADS,
    *consume.WORKLOADS,
    *latency.WORKLOADS,
    *requests.WORKLOADS,
    *groups.WORKLOADS,
    *cores.WORKLOADS,
    *footprint.WORKLOADS,
    *recovery.WORKLOADS,
)


WARMING = tuple(
    each
    for each in WORKLOADS
    if each.quick and not each.java and each.subject in {"produce", "consume", "requests"}
)
"""What brokers do before anything is measured."""


def chosen(patterns: list[str], *, quick: bool) -> list[Workload]:
    """Those of a subject, with a name, or else with a part of it; all, or the short form, without patterns.

    Raises `ValueError` for a pattern that matches nothing.
    """
    if not patterns:
        return [each for each in WORKLOADS if each.quick or not quick]
    found: list[Workload] = []
    for pattern in patterns:
        matching = [each for each in WORKLOADS if pattern in (each.subject, each.name)] or [
            each for each in WORKLOADS if pattern in each.name
        ]
        if not matching:
            raise ValueError(f"no workload is called {pattern!r}")
        found += [each for each in matching if each not in found]
    return found
