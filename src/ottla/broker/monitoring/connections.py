"""Connections (`kafka.server:type=socket-server-metrics`), and how much of the event loop is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ottla.metrics.families import Family, Kind, Metric

_LISTENER = ("listener", "networkProcessor")
_ONLY_PROCESSOR = "0"

CONNECTIONS = Family(
    "kafka_server_socket_server_metrics_connection_count", Kind.GAUGE, "Open connections.", _LISTENER
)
ACCEPTED = Family(
    "kafka_server_socket_server_metrics_connection_creation",
    Kind.COUNTER,
    "Connections that were accepted.",
    _LISTENER,
)
NETWORK_IDLE = Family(
    "kafka_network_socketserver_networkprocessoravgidle_percent",
    Kind.GAUGE,
    "The share of time, 0 to 1, in which the event loop had nothing to do since it was last asked.",
)
HANDLERS_IDLE = Family(
    "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
    Kind.GAUGE,
    "The same: one event loop reads, handles and answers.",
)
FAMILIES = (CONNECTIONS, ACCEPTED, NETWORK_IDLE, HANDLERS_IDLE)


class Connected(Protocol):
    """An open connection."""

    @property
    def listener(self) -> str: ...


class ConnectionMetrics:
    """Of all listeners."""

    def __init__(
        self,
        connections: Callable[[], Iterable[Connected]],
        accepted: Callable[[], Iterable[tuple[str, int]]],
        now_s: Callable[[], float],
        busy_s: Callable[[], float],
    ) -> None:
        """`accepted` has the number by listener, of all that there are; `busy_s` is the processor time of the
        thread that the event loop runs in.
        """
        self._connections = connections
        self._accepted = accepted
        self._now_s = now_s
        self._busy_s = busy_s
        self._before = now_s(), busy_s()

    def collect(self) -> Iterator[Metric]:
        """Since the last time, for what is a share of time."""
        opened = dict(self._accepted())
        open_now = Counter(each.listener for each in self._connections())
        yield CONNECTIONS.of(*(((name, _ONLY_PROCESSOR), open_now[name]) for name in opened))
        yield ACCEPTED.of(*(((name, _ONLY_PROCESSOR), count) for name, count in opened.items()))
        idle = self._idle()
        yield NETWORK_IDLE.of(((), idle))
        yield HANDLERS_IDLE.of(((), idle))

    def _idle(self) -> float:
        before_s, busy_before_s = self._before
        self._before = now_s, busy_s = self._now_s(), self._busy_s()
        passed_s = now_s - before_s
        return min(1.0, max(0.0, 1 - (busy_s - busy_before_s) / passed_s)) if passed_s > 0 else 1.0
