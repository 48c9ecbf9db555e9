"""A source's delivery without a worker's process around it."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Mapping

from ottla.client.producer.producer import AsyncProducer
from ottla.connect.plugins import Plugins
from ottla.connect.process.kafka import ClientConfig, Kafka
from ottla.connect.process.lifecycle import Lifecycle, now_ms
from ottla.connect.process.parent import Parent
from ottla.connect.process.pipeline import SourcePipeline, make_converters, make_steps
from ottla.connect.process.source import Sender
from ottla.connect.process.tolerance import Policy, Tolerance
from ottla.connect.process.topics import Topics
from ottla.connect.worker.frames import Decoder, encode
from ottla.testing import InProcessBroker

_STRING = "org.apache.kafka.connect.storage.StringConverter"
CONVERTERS = {
    "key.converter": _STRING,
    "value.converter": _STRING,
    "header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter",
}


class Worker:
    """What the worker is for a task: it keeps what is committed."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self._ours, self._theirs = socket.socketpair()
        self._is_over = threading.Event()
        self.parent = Parent(self._theirs, {}, lambda event, message: None, self._is_over.set)
        self._answers = threading.Thread(target=self._answer, daemon=True)
        self._answers.start()

    def _answer(self) -> None:
        decoder = Decoder()
        while data := self._ours.recv(1 << 16):
            for message in decoder.feed(data):
                if message.get("call") == "commit":
                    self.committed += [offset["n"] for _, offset in message["offsets"]]
                    self._ours.sendall(encode({"id": message["id"], "result": None}))

    def close(self) -> None:
        self._ours.shutdown(socket.SHUT_RDWR)
        self._answers.join()
        self._is_over.wait()
        self._ours.close()
        self._theirs.close()


class Bench:
    """What a task's delivery is made of."""

    def __init__(
        self,
        broker: InProcessBroker,
        own: Mapping[str, str],
        *,
        tolerates: bool = False,
        converters: Mapping[str, str] = CONVERTERS,
    ) -> None:
        connection = {"bootstrap.servers": broker.bootstrap_servers}
        self.kafka = Kafka({"producer": ClientConfig(connection, own), "admin": ClientConfig(connection, {})})
        plugins, policy = Plugins(), Policy(tolerates=tolerates)
        self.lifecycle = Lifecycle()
        self.tolerance = Tolerance(
            policy, "task-0", now_ms, self.lifecycle.wait_ms, random.random, lambda _: None
        )
        self._pipeline = SourcePipeline(
            make_converters(plugins, {}, converters), make_steps(plugins, {}), self.tolerance
        )

    def sender(self, producer: AsyncProducer) -> Sender:
        return Sender(self.kafka, producer, self._pipeline, Topics(self.kafka, []), None, patience_s=0.2)

    def close(self) -> None:
        self._pipeline.close()
        self.kafka.close(5)
