"""Clients that tell of themselves (KIP-714): confluent-kafka pushes its metrics, which a collector gets."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import confluent_kafka
import pytest

from ottla.client import connect
from ottla.client.admin.configs import ConfigChange, ConfigKind, ConfigResource
from ottla.client.admin.topics import NewTopic
from ottla.testing import run_broker


class Collector(HTTPServer):
    """Takes what is posted; the first attempt of each run fails."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[tuple[dict[str, str], bytes]] = []
        self.has_failed = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/metrics"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.has_failed:
            self.server.posted.append((dict(self.headers.items()), body))
        self.send_response(200 if self.server.has_failed else 503)
        self.end_headers()
        self.server.has_failed = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def telling(collector: Collector) -> Iterator[str]:
    """A broker that asks clients named `told` for everything."""
    settings = {
        "ottla.telemetry.otlp.endpoint": collector.endpoint,
        "ottla.telemetry.otlp.headers": "Authorization=Bearer t",
    }
    changes = {"metrics": "*", "interval.ms": "100", "match": "client_id=told"}
    with run_broker(settings) as broker, connect(broker.bootstrap_servers) as client:
        client.admin.topics.create([NewTopic("t")]).check()
        resource = ConfigResource(ConfigKind.CLIENT_METRICS, "everything")
        client.admin.configs.alter({resource: [ConfigChange(*each) for each in changes.items()]}).check()
        assert resource in client.admin.configs.list_resources()
        described = client.admin.configs.describe([resource])[resource]
        assert {name: each.value for name, each in described.items()} == changes
        yield broker.bootstrap_servers


def until_posted(collector: Collector) -> list[tuple[dict[str, str], bytes]]:
    deadline = time.monotonic() + 60
    while not collector.posted:
        assert time.monotonic() < deadline, "nothing was pushed"
        time.sleep(0.02)
    return collector.posted


def test_librdkafka_pushes_its_metrics(collector: Collector) -> None:
    with telling(collector) as servers:
        producer = confluent_kafka.Producer({"bootstrap.servers": servers, "client.id": "told"})
        producer.produce("t", b"v")
        producer.flush(60)
        headers, body = until_posted(collector)[0]
        untold = confluent_kafka.Producer({"bootstrap.servers": servers, "client.id": "untold"})
        untold.produce("t", b"v")
        untold.flush(60)
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Authorization"] == "Bearer t"
    assert b"org.apache.kafka.producer." in body
    for told in (b"client_id", b"told", b"client_software_name", b"confluent-kafka-python", b"principal"):
        assert told in body
    assert not any(b"untold" in body for _, body in collector.posted)
