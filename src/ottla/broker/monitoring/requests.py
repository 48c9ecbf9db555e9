"""Requests by API: how many, and how long they took (`kafka.network:type=RequestMetrics`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ottla.broker.request import Route
from ottla.metrics.families import Family, Kind, Metric

REQUESTS = Family(
    "kafka_network_requestmetrics_requests",
    Kind.COUNTER,
    "Requests by API and version.",
    ("request", "version"),
)
TOTAL_TIME = Family(
    "kafka_network_requestmetrics_totaltimems",
    Kind.SUMMARY,
    "Milliseconds from a request to its answer; one request of eight is measured.",
    ("request",),
)
LOCAL_TIME = Family(
    "kafka_network_requestmetrics_localtimems",
    Kind.SUMMARY,
    "Milliseconds of that until the request had to wait for data, replicas or the disk.",
    ("request",),
)
FAMILIES = (REQUESTS, TOTAL_TIME, LOCAL_TIME)


def request_metrics(routes: Callable[[], Iterable[Route]]) -> Iterator[Metric]:
    """Of the APIs that were asked for."""
    known = list(routes())
    yield REQUESTS.of(
        *(
            ((route.name, str(route.lowest + number)), count)
            for route in known
            for number, count in enumerate(route.requests)
            if count
        )
    )
    yield TOTAL_TIME.of(*(((route.name,), route.total_ms.distribution()) for route in known))
    yield LOCAL_TIME.of(*(((route.name,), route.local_ms.distribution()) for route in known))
