"""Apache Kafka and Ottla, started with the same settings, and a blocking connection to each."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import bench.brokers
import bench.kafka.broker
from bench.kafka.install import install

from .codec import Codec, load

KAFKA_VERSION = "4.4.0"
SETTINGS = {
    "auto.create.topics.enable": "true",
    "controller.quorum.append.linger.ms": "0",
    "group.consumer.assignment.interval.ms": "0",
    "group.initial.rebalance.delay.ms": "0",
    "node.id": "1",
    "log.segment.delete.delay.ms": "1000",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "transaction.state.log.num.partitions": "1",
}
"""Given to both. One node cannot hold three replicas of internal topics, and neither shall wait."""

_ANSWER_TIMEOUT_S = 5
_SETTLE_TIMEOUT_S = 20
_NOT_YET = {3, 5, 6, 14, 15, 16, 100}
"""Errors of what was just made and is not known everywhere yet."""

_MARKED = {"resource_type": 2, "resource_name": "settle"}
"""The topic whose configuration marks what has been applied."""


class Unanswered(Exception):  # noqa: N818 -- no error: an answer that scenarios ask for
    """The broker closed the connection instead of answering, or said nothing for long."""


class Connection:
    """One request at a time."""

    def __init__(
        self,
        broker: Broker,
        host: str | None = None,
        *,
        listener: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """From that address of this machine, or any; to the plain listener, or another. Raises OSError."""
        self._codec = broker.codec
        source = None if host is None else (host, 0)
        address = broker.address if listener is None else broker.listeners[listener]
        self._socket = socket.create_connection(address, _ANSWER_TIMEOUT_S, source)
        if tls is not None:
            self._socket = _secured(self._socket, tls)
        self._correlation_ids = itertools.count(1)

    def ask(
        self, api: str, version: int, body: Mapping[str, Any], client_id: str = "differential"
    ) -> dict[str, Any]:
        """The answer to a request; Unanswered where there is none."""
        self.send(self._codec.request(api, version, next(self._correlation_ids), body, client_id))
        return self._codec.response(api, version, self.receive())[1]

    def send(self, request: bytes) -> None:
        """A request without its size, whatever it holds."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(struct.pack(">i", len(request)) + request)

    def send_bytes(self, data: bytes) -> None:
        """As they are."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def receive(self) -> bytes:
        """The next answer without its size."""
        (size,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(size)

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                more = self._socket.recv(size - len(data))
            except TimeoutError:
                raise Unanswered("silent") from None
            except (ConnectionError, ssl.SSLError):
                more = b""
            if not more:
                raise Unanswered("closed")
            data += more
        return bytes(data)


def _secured(plain: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
    try:
        return tls.wrap_socket(plain)
    except OSError:
        plain.close()
        raise


@dataclass
class Broker:
    """One of the two brokers that are compared."""

    name: str
    address: tuple[str, int]
    codec: Codec
    listeners: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Those beside the plain one"""

    def __post_init__(self) -> None:
        self._markers = itertools.count(1_000_000)
        self._connection = Connection(self)
        served = self._connection.ask(
            "ApiVersions", 3, {"client_software_name": "d", "client_software_version": "1"}
        )
        names = {api.key: name for name, api in self.codec.apis.items()}
        self.served = {
            names[each["api_key"]]: (each["min_version"], each["max_version"]) for each in served["api_keys"]
        }

    def close(self) -> None:
        self._connection.close()

    def eventually(self, ask: Callable[[], Any]) -> Any:
        """What `ask` answers once it is neither None nor an answer with an error that goes away by itself."""
        deadline = time.monotonic() + _SETTLE_TIMEOUT_S
        while (answer := ask()) is None or _NOT_YET & set(error_codes(answer)):
            assert time.monotonic() < deadline, f"{self.name} still answers {answer}"
            time.sleep(0.005)
        return answer

    def warm_up(self) -> None:
        """Until groups and producers are served: internal topics come to be at the first use."""
        ask = self._connection.ask
        ask("CreateTopics", 5, {"topics": [_one_partition("settle")], "timeout_ms": 10_000})
        self.eventually(lambda: ask("FindCoordinator", 4, {"key_type": 0, "coordinator_keys": ["any"]}))
        self.eventually(lambda: ask("OffsetFetch", 8, {"groups": [{"group_id": "any", "topics": None}]}))
        self.eventually(
            lambda: ask("InitProducerId", 1, {"transactional_id": None, "transaction_timeout_ms": 1})
        )
        self.settle()

    def set_cluster_default(self, name: str, value: str) -> None:
        """Gives all brokers of the cluster a dynamic setting."""
        configs = [{"name": name, "config_operation": 0, "value": value}]
        resource = {"resource_type": 4, "resource_name": "", "configs": configs}
        (done,) = self._connection.ask("IncrementalAlterConfigs", 1, {"resources": [resource]})["responses"]
        assert done["error_code"] == 0, done

    def settle(self) -> None:
        """Return once all that was changed before has been applied everywhere in the broker.

        Kafka's controller answers before its broker follows. Changes are applied in order, so the second of
        two markers is seen only when what came before the first is applied.
        """
        for _ in range(2):
            marker = str(next(self._markers))
            change = {"name": "retention.ms", "config_operation": 0, "value": marker}
            self._connection.ask(
                "IncrementalAlterConfigs", 1, {"resources": [{**_MARKED, "configs": [change]}]}
            )
            self.eventually(lambda wanted=marker: self._marker() == wanted or None)

    def _marker(self) -> str | None:
        asked = {"resources": [{**_MARKED, "configuration_keys": ["retention.ms"]}]}
        (result,) = self._connection.ask("DescribeConfigs", 4, asked)["results"]
        return result["configs"][0]["value"] if result["configs"] else None


def _one_partition(name: str) -> dict[str, Any]:
    return {"name": name, "num_partitions": 1, "replication_factor": 1}


def error_codes(message: Any) -> Iterator[int]:
    """Every error code in an answer."""
    if isinstance(message, dict):
        for name, value in message.items():
            if name.endswith("error_code"):
                yield value
            else:
                yield from error_codes(value)
    elif isinstance(message, list):
        for each in message:
            yield from error_codes(each)


@contextlib.contextmanager
def both(
    more: Mapping[str, str] = MappingProxyType({}),
    listeners: Mapping[str, str] = MappingProxyType({}),
    properties: tuple[str, ...] = (),
) -> Iterator[tuple[Broker, Broker]]:
    """Kafka and Ottla, ready, with `more` settings, `listeners` (with their protocols), and `properties` of
    Java's; `KafkaUnavailableError` where Kafka cannot be had.
    """
    release = install(KAFKA_VERSION).short_lived()
    release = replace(release, options=(*release.options, *properties))
    codec = load(release.jars / f"kafka-clients-{release.version}.jar")
    settings = tuple(f"{name}={value}" for name, value in {**SETTINGS, **more}.items())
    with contextlib.ExitStack() as stack:
        brokers = []
        for running in (
            stack.enter_context(bench.kafka.broker.kafka(release, settings=settings, listeners=listeners)),
            stack.enter_context(bench.brokers.ottla(settings=settings, listeners=listeners)),
        ):
            others = {name: _parts(address) for name, address in running.listeners.items()}
            broker = Broker(running.name, _parts(running.address), codec, others)
            stack.callback(running.crash)  # it has nothing to keep, and takes its time to stop
            stack.callback(broker.close)
            brokers.append(broker)
            broker.warm_up()
        brokers[1].set_cluster_default("min.insync.replicas", "1")  # Kafka does so itself, for KIP-966
        yield brokers[0], brokers[1]


def _parts(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host, int(port)
