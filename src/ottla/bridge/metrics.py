"""What an instance does, counted for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ottla.bridge.refusals import refusal
from ottla.http.app import Request, Response, Route

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_FAILED: Final = 500


class BridgeMetrics:
    """Under the prefixes of Strimzi's: `strimzi_bridge_http_server_*`."""

    def __init__(
        self, consumers: Callable[[], int], principals: Callable[[], int], now_s: Callable[[], float]
    ) -> None:
        self._now_s = now_s
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        labels = ("method", "path", "code")
        self._requests = Counter(
            "strimzi_bridge_http_server_requests",
            "Requests that were answered",
            labels,
            registry=self._registry,
        )
        self._seconds = Histogram(
            "strimzi_bridge_http_server_response_time_seconds",
            "How long answers took",
            labels[:2],
            registry=self._registry,
        )
        gauges = (
            ("ottla_bridge_consumers", "Consumers that are kept for clients", consumers),
            ("ottla_bridge_principals", "Who are connected to Kafka by their own names", principals),
        )
        for name, what, count in gauges:
            Gauge(name, what, registry=self._registry).set_function(count)

    def counted(self, route: Route) -> Route:
        """The same, and its requests are counted."""
        path = "/" + "/".join("{}" if part is None else part for part in route.path)
        handler, now_s = route.handler, self._now_s
        seconds = self._seconds.labels(route.method, path)

        async def handle(request: Request, *names: str) -> Response:
            begun = now_s()
            status = _FAILED
            try:
                response = await handler(request, *names)
                status = response.status
            except Exception as error:
                refused = refusal(error)
                if refused is not None:
                    status = refused.status
                raise
            finally:
                seconds.observe(now_s() - begun)
                self._requests.labels(route.method, path, str(status)).inc()
            return response

        return replace(route, handler=handle)

    def page(self) -> bytes:
        return generate_latest(self._registry)
