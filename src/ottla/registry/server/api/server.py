"""What the server says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from ottla import __version__
from ottla.http.app import Request, Response, Route, route
from ottla.registry.server.api.services import Services


class Server:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        return (
            route("GET", "/", self.root),
            route("GET", "/v1/metadata/id", self.cluster),
            route("GET", "/v1/metadata/version", self.version),
        )

    async def root(self, _request: Request) -> Response:
        return Response({})

    async def cluster(self, _request: Request) -> Response:
        scope = {
            "kafka-cluster": self._services.cluster_id,
            "schema-registry-cluster": self._services.settings.schema_registry_group_id,
        }
        return Response({"scope": {"path": [], "clusters": scope}, "id": ""})

    async def version(self, _request: Request) -> Response:
        return Response({"version": __version__, "commitId": "ottla"})
