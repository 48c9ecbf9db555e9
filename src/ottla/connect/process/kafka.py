"""The clients of a task: their event loop is in a thread of its own, and waits are the task's thread's."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.producer.producer import AsyncProducer
from ottla.client.sync.portal import Portal

T = TypeVar("T")


class ClientConfig(NamedTuple):
    """Of one kind of client, under Kafka's names: what its connections go by, and what it does itself."""

    connection: Mapping[str, object]
    own: Mapping[str, object]


class Kafka:
    """Clients by what they are for (`producer`, `consumer`, `admin`): each has its connections, as a
    connector may have sent one of them to another cluster.
    """

    def __init__(self, configs: Mapping[str, ClientConfig]) -> None:
        self._configs = configs
        self._clients: dict[str, AsyncClient] = {}
        self.portal = Portal()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result; waits."""
        return self.portal.call(work)

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Have it run, and wait for something else."""
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        async def run() -> None:
            try:
                result.set_result(await work)
            except BaseException as error:  # noqa: BLE001 - whoever waits raises it
                result.set_exception(error)

        self.portal.abandon(run)
        return result

    def client(self, kind: str) -> AsyncClient:
        """Connected. ClientError."""
        if kind not in self._clients:
            self._clients[kind] = self.call(self._connect(kind))
        return self._clients[kind]

    async def _connect(self, kind: str) -> AsyncClient:
        return await AsyncClient(client_settings(None, self._configs[kind].connection, {})).start()

    def producer(self, **more: object) -> AsyncProducer:
        """Started: with a transactional id whoever had it before is fenced. ClientError."""
        client = self.client("producer")

        async def start() -> AsyncProducer:
            made = client.producer(self._configs["producer"].own, **more)
            await made.start()
            return made

        return self.call(start())

    def consumer(self) -> AsyncConsumer:
        client = self.client("consumer")

        async def make() -> AsyncConsumer:
            return client.consumer(settings=self._configs["consumer"].own)

        return self.call(make())

    def close(self, timeout_s: float) -> None:
        """Deliver nothing more: whoever wanted that has waited for it."""

        async def close() -> None:
            for client in self._clients.values():
                await client.close()

        self.portal.at_end(close)
        self.portal.close(timeout_s)
