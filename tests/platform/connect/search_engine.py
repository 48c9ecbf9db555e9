"""Elasticsearch's API in tests: OpenSearch with `--full`, else what is written after its documentation."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench.kafka.install import KafkaUnavailableError, install
from tests.platform.connect.databases import free_port
from tests.platform.connect.services import running
from tests.platform.connect.web import Answer, Request, web_server

OPENSEARCH = Path(__file__).parent / "opensearch"
VERSION = "2.19.6"


@contextmanager
def opensearch(folder: Path) -> Iterator[str]:
    """The URL of a node of its own."""
    try:
        jars = install(VERSION, pom=OPENSEARCH / "pom.xml", name="opensearch").jars
    except KafkaUnavailableError as reason:
        pytest.skip(str(reason))
    classes, home, port = folder / "classes", folder / "home", free_port()
    (home / "config").mkdir(parents=True)
    compiled = [
        "javac",
        "-proc:none",
        "-cp",
        f"{jars}/*",
        "-d",
        str(classes),
        str(OPENSEARCH / "Server.java"),
    ]
    subprocess.run(compiled, check=True, capture_output=True)
    url = f"http://127.0.0.1:{port}"
    options = ["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{classes}:{jars}/*"]
    command = ["java", *options, "Server", str(home), str(port)]
    with running(command, folder, lambda: asked(url, "GET", "/")):
        yield url


def asked(url: str, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read() or b"{}")


class Engine:
    """Indices in memory: versions, upserts, mappings of numbers, and errors as the documentation has them."""

    def __init__(self) -> None:
        self.indices: dict[str, dict[str, tuple[int, dict[str, Any]]]] = {}
        self.mappings: dict[str, dict[str, Any]] = {}
        self.deleted: dict[tuple[str, str], int] = {}

    def handle(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("?")[0].split("/")
        if parts == ["_bulk"]:
            assert request.headers["content-type"] == "application/x-ndjson"
            items = list(self._bulk(request.body.splitlines()))
            failed = any("error" in next(iter(item.values())) for item in items)
            return _json(200, {"took": 1, "errors": failed, "items": items})
        if parts[-1] == "_refresh" or parts[0] == "_index_template":
            return _json(200, {})
        index = parts[0]
        if request.method == "PUT":
            if index in self.indices:
                return _json(400, {"error": {"type": "resource_already_exists_exception"}})
            self.indices[index] = {}
            self.mappings[index] = request.json["mappings"]
            return _json(200, {"acknowledged": True})
        if request.method == "DELETE":
            self.indices.pop(index, None)
            self.mappings.pop(index, None)
            self.deleted.clear()
            return _json(200, {"acknowledged": True})
        if index not in self.indices:
            return _json(404, {"error": {"type": "index_not_found_exception"}})
        if parts[-1] == "_mapping":
            return _json(200, {index: {"mappings": self.mappings[index]}})
        hits = [{"_id": key, "_source": source} for key, (_, source) in self.indices[index].items()]
        return _json(200, {"hits": {"hits": hits}})

    def _bulk(self, lines: list[bytes]) -> Iterator[dict[str, Any]]:
        rest = iter(lines)
        for line in rest:
            ((kind, target),) = json.loads(line).items()
            document = None if kind == "delete" else json.loads(next(rest))
            yield {
                kind: {"_index": target["_index"], "_id": target.get("_id")}
                | self._act(kind, target, document)
            }

    def _act(self, kind: str, target: dict[str, Any], document: dict[str, Any] | None) -> dict[str, Any]:
        index, key = target["_index"], target.get("_id") or f"generated-{len(self.indices)}"
        documents = self.indices.setdefault(index, {})
        there = documents.get(key)
        version = target.get("version")
        last = self.deleted.get((index, key), -1) if there is None else there[0]
        if (version is not None and version <= last) or (kind == "create" and there is not None):
            return {
                "status": 409,
                "error": {"type": "version_conflict_engine_exception", "reason": "conflict"},
            }
        if kind == "delete":
            documents.pop(key, None)
            self.deleted[index, key] = last if version is None else version
            return {"status": 404 if there is None else 200}
        assert document is not None
        if kind == "update":
            document = {**(there[1] if there else {}), **document["doc"]}
        wrong = self._unmapped(index, document)
        if wrong is not None:
            return {"status": 400, "error": wrong}
        documents[key] = (last + 1 if version is None else version, document)
        return {"status": 201 if there is None else 200}

    def _unmapped(self, index: str, document: dict[str, Any]) -> dict[str, Any] | None:
        properties = self.mappings.setdefault(index, {}).setdefault("properties", {})
        for name, value in document.items():
            is_number = isinstance(value, int) and not isinstance(value, bool)
            kind = properties.setdefault(name, {"type": "long" if is_number else "text"}).get("type")
            if kind in ("long", "integer") and isinstance(value, str):
                reason = f"failed to parse field [{name}] of type [{kind}]"
                return {"type": "mapper_parsing_exception", "reason": reason}
        return None


def _json(status: int, body: object) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


@contextmanager
def documented_engine() -> Iterator[str]:
    with web_server() as web:
        web.answer = Engine().handle
        yield web.url
