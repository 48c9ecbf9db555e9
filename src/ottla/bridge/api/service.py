"""What the bridge says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from ottla import __version__
from ottla.bridge.media import JSON
from ottla.bridge.metrics import CONTENT_TYPE, BridgeMetrics
from ottla.bridge.openapi import document
from ottla.http.app import Request, Response, Route, route


class Service:
    def __init__(self, metrics: BridgeMetrics) -> None:
        self._metrics = metrics

    def routes(self) -> Sequence[Route]:
        return (
            route("GET", "/", self.info),
            route("GET", "/healthy", self.healthy),
            route("GET", "/ready", self.healthy),
            route("GET", "/openapi", self.openapi),
            route("GET", "/openapi/v3", self.openapi),
            route("GET", "/metrics", self.metrics),
        )

    async def info(self, _request: Request) -> Response:
        return Response({"bridge_version": __version__}, type=JSON)

    async def healthy(self, _request: Request) -> Response:
        return Response()

    async def openapi(self, request: Request) -> Response:
        prefix = request.headers.get("x-forwarded-path") or request.headers.get("x-forwarded-prefix")
        return Response(document(prefix), type=JSON)

    async def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.page(), type=CONTENT_TYPE)
