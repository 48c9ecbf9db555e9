"""What is measured: one table of workloads for each subject."""

from __future__ import annotations

from bench.workloads import consume, footprint, groups, latency, produce, requests
from bench.workloads.model import Workload

WORKLOADS: tuple[Workload, ...] = (
    *produce.WORKLOADS,
    *consume.WORKLOADS,
    *latency.WORKLOADS,
    *requests.WORKLOADS,
    *groups.WORKLOADS,
    *footprint.WORKLOADS,
)


def chosen(patterns: list[str], *, quick: bool) -> list[Workload]:
    """Those whose subject is named, or whose name contains a pattern; all, or the short form, without any.

    Raises `ValueError` for a pattern that matches nothing.
    """
    if not patterns:
        return [each for each in WORKLOADS if each.quick or not quick]
    found: list[Workload] = []
    for pattern in patterns:
        matching = [each for each in WORKLOADS if pattern == each.subject] or [
            each for each in WORKLOADS if pattern in each.name
        ]
        if not matching:
            raise ValueError(f"no workload is called {pattern!r}")
        found += [each for each in matching if each not in found]
    return found
