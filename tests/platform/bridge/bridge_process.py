"""`ottla bridge serve` as a process, and plain HTTP to talk to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.platform import server_process
from tests.platform.server_process import Answer, ServerProcess

V2 = "application/vnd.kafka.v2+json"


def embedded(format_: str) -> str:
    return f"application/vnd.kafka.{format_}.v2+json"


class Api(server_process.Api):
    content_type = V2

    def send(
        self, path: str, records: Sequence[Mapping[str, object]], format_: str = "json", query: str = ""
    ) -> Answer:
        headers = {"Content-Type": embedded(format_)}
        return self.call("POST", f"/topics/{path}{query}", {"records": records}, headers)

    def consumer(self, group: str, **settings: object) -> Consumer:
        given = {name.replace("_", "."): value for name, value in settings.items()}
        answer = self.call("POST", f"/consumers/{group}", {"auto.offset.reset": "earliest", **given})
        assert answer.status == 200, answer
        return Consumer(self, f"/consumers/{group}/instances/{answer.json['instance_id']}", given)


class Consumer:
    """One that the bridge keeps."""

    def __init__(self, api: Api, path: str, settings: Mapping[str, object]) -> None:
        self.path = path
        self._api = api
        self._format = str(settings.get("format", "binary"))

    def post(self, what: str, body: object = None) -> Answer:
        return self._api.call("POST", f"{self.path}/{what}", body)

    def delete(self, what: str = "") -> Answer:
        return self._api.call("DELETE", f"{self.path}{what}")

    def get(self, what: str) -> Answer:
        return self._api.get(f"{self.path}/{what}")

    def poll(self, query: str = "?timeout=1000", **headers: str) -> Answer:
        return self._api.get(f"{self.path}/records{query}", **{"Accept": embedded(self._format), **headers})

    def take(self, count: int) -> list[Any]:
        """The next records, at least so many."""
        found: list[Any] = []
        for _ in range(100):
            answer = self.poll()
            assert answer.status == 200, answer
            found += answer.json
            if len(found) >= count:
                return found
        raise AssertionError(f"{len(found)} records of {count}")


class BridgeProcess(ServerProcess[Api]):
    name = "bridge"
    api_type = Api
