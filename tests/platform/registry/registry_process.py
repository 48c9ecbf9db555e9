"""`ottla registry serve` as a process, and plain HTTP to talk to it."""

from __future__ import annotations

from urllib.parse import quote

from tests.platform import server_process
from tests.platform.server_process import Answer, ServerProcess


class Api(server_process.Api):
    content_type = "application/vnd.schemaregistry.v1+json"

    def register(self, subject: str, schema: str, query: str = "", **more: object) -> Answer:
        return self.call(
            "POST", f"/subjects/{quote(subject, safe='')}/versions{query}", {"schema": schema, **more}
        )


class RegistryProcess(ServerProcess[Api]):
    name = "registry"
    api_type = Api
