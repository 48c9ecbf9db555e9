"""The client of a registry, against what answers as one over HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import pytest

from ottla import client
from ottla.client import schema_registry
from ottla.client.errors import ConfigurationError
from ottla.client.schema_registry import SchemaRegistry
from ottla.client.values.registry import Reference, RegistryError, Schema

GUID = "01234567-89ab-cdef-0123-456789abcdef"


MISSING = (404, {"error_code": 40403, "message": "no"})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server: Any = self.server
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        server.asked.append((self.command, self.path, body, self.headers.get("Authorization")))
        status, answer = server.answers.get(
            (self.command, self.path), (404, {"error_code": 40403, "message": "no"})
        )
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(answers: dict[tuple[str, str], tuple[int, Any]]) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.answers, server.asked = answers, []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_schemas_are_asked_for_once_with_what_they_refer_to() -> None:
    answers = {
        ("GET", "/schemas/ids/7"): (
            200,
            {
                "schema": '"string"',
                "references": [{"name": "a.B", "subject": "b/c", "version": 2}],
            },
        ),
        ("GET", "/subjects/b%2Fc/versions/2"): (
            200,
            {"schema": "BB", "id": 6, "version": 2, "subject": "b/c"},
        ),
        ("GET", f"/schemas/guids/{GUID}"): (200, {"schema": "{}", "schemaType": "JSON"}),
    }
    with serving(answers) as server:
        registry = SchemaRegistry(server.url)
        assert registry.known(7) is None
        expected = Schema("AVRO", '"string"', [Reference("a.B", "b/c", 2)], {"a.B": "BB"})
        assert registry.schema(7) == registry.schema(7) == registry.known(7) == expected
        assert registry.schema(UUID(GUID)) == Schema("JSON", "{}", [], {})
        assert len(server.asked) == 3
        with pytest.raises(RegistryError, match="no") as caught:
            registry.schema(8)
        assert (caught.value.status, caught.value.error_code, caught.value.is_missing) == (404, 40403, True)


def test_schemas_are_registered_and_looked_up_once() -> None:
    schema = Schema("PROTOBUF", "syntax", [Reference("x", "s", 1)])
    body = {
        "schema": "syntax",
        "schemaType": "PROTOBUF",
        "references": [{"name": "x", "subject": "s", "version": 1}],
    }
    answers = {
        ("POST", "/subjects/t-value/versions"): (200, {"id": 4}),
        ("POST", "/subjects/t-value?normalize=true"): (200, {"id": 4, "guid": GUID, "version": 1}),
        ("GET", "/subjects/t-value/versions/latest"): (200, {"id": 4, "schema": "{}", "schemaType": "JSON"}),
    }
    with serving(answers) as server:
        registry = SchemaRegistry([server.url], bearer_auth_token=lambda: "abc")
        for _ in range(2):
            assert registry.register("t-value", schema).id == 4
            assert registry.lookup("t-value", schema, normalize=True).guid == UUID(GUID)
            assert registry.latest("t-value").schema.kind == "JSON"
        assert [(method, sent) for method, _, sent, _ in server.asked] == [
            ("POST", body),
            ("POST", body),
            ("GET", None),
        ]
        assert {authorization for *_, authorization in server.asked} == {"Bearer abc"}


def test_the_next_url_is_asked_where_one_does_not_answer() -> None:
    answers = {("GET", "/schemas/ids/1"): (200, {"schema": '"int"'})}
    with serving({}) as gone:
        dead = gone.url
    with serving(answers) as server, serving({("GET", "/schemas/ids/1"): (503, b"")}) as busy:
        registry = SchemaRegistry(f"{dead}, {busy.url}, {server.url}", basic_auth_user_info="u:p")
        assert registry.schema(1).text == '"int"'
        assert (len(busy.asked), len(server.asked)) == (1, 1)
        assert server.asked[0][3] == "Basic dTpw"
        server.answers["GET", "/schemas/ids/2"] = (200, {"schema": '"int"'})
        registry.schema(2)
        assert len(busy.asked) == 1  # the one that answered is asked first


def test_threads_that_find_another_url_first_take_none_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def sometimes(*_: object) -> dict[str, object]:
        if next(turns) % 3:
            raise OSError("away")
        return {}

    turns = count()
    monkeypatch.setattr(schema_registry, "_BACKOFF_S", 0)
    monkeypatch.setattr(schema_registry._Server, "request", sometimes)
    registry = client.registry("http://one:1,http://two:2,http://three:3")

    def failures(_: int) -> list[str]:
        said = []
        for _ in range(3000):
            try:
                registry.request("GET", "/")
            except RegistryError as error:
                said.append(str(error))
        return said

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            said = [each for some in threads.map(failures, range(4)) for each in some]
    finally:
        sys.setswitchinterval(interval)
    assert not [each for each in said if "away" not in each]


def test_what_does_not_answer_is_told_by_its_url() -> None:
    with serving({}) as gone:
        dead = gone.url
    with pytest.raises(RegistryError, match=f"no registry answers: {dead}: .*refused"):
        SchemaRegistry(dead, timeout_s=0.5).schema(1)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>"),
        (200, b"[" * 100_000),
        (200, []),
        (200, {"schema": 1}),
        (200, {"schema": "x", "schemaType": "THRIFT"}),
        (200, {"schema": "x", "references": [{"name": 1}]}),
        (302, b""),
        (401, b"who"),
    ],
)
@pytest.mark.usefixtures("no_collection")
def test_other_answers_are_told(answer: Any) -> None:
    with serving({("GET", "/schemas/ids/1"): answer}) as server, pytest.raises(RegistryError):
        SchemaRegistry(server.url).schema(1)


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://x:y", "http://[::1"])
def test_urls_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        SchemaRegistry(url)


def test_a_user_may_be_in_the_url_and_certificates_have_to_be_there() -> None:
    with serving({("GET", "/base/schemas/ids/1"): (200, {"schema": "1"})}) as server:
        url = server.url.replace("http://", "http://me:p%40ss@") + "/base/"
        registry = SchemaRegistry(url)
        registry.schema(1)
        assert server.asked[0][3] == "Basic bWU6cEBzcw=="
        assert "p%40ss" not in repr(registry)
    with pytest.raises(ConfigurationError, match="certificates"):
        SchemaRegistry("https://x", ssl_ca_location="/nowhere")
    with pytest.raises(ConfigurationError, match="not both"):
        SchemaRegistry("http://x", basic_auth_user_info="u:p", bearer_auth_token="t")


def test_no_module_hides_what_the_client_offers() -> None:
    """Once a module is imported its package has it as an attribute, in place of a function of that name."""
    folder = Path(client.__file__).parent
    modules = {path.stem for path in folder.iterdir()}
    assert not modules.intersection(client.__all__)
