"""Records into topics."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from ottla.bridge.api.services import Services
from ottla.bridge.bodies import flag_of, partition_of, topic_of
from ottla.bridge.media import given_format
from ottla.bridge.records import Outgoing, outgoing
from ottla.bridge.refusals import status_of
from ottla.client.errors import ClientError
from ottla.client.producer.delivery import Delivery
from ottla.client.producer.producer import AsyncProducer
from ottla.http.app import Request, Response, Route, route
from ottla.http.errors import HttpError
from ottla.protocol.errors import ErrorCode

_TURN: Final = 1_000
"""Records, behind which others get their turn"""


class Producing:
    def __init__(self, services: Services) -> None:
        self._clients = services.clients
        self._enabled = services.settings.http_producer_enabled

    def routes(self) -> Sequence[Route]:
        return (
            route("POST", "/topics/{topicname}", self.send),
            route("POST", "/topics/{topicname}/partitions/{partitionid}", self.send_to_partition),
        )

    async def send(self, request: Request, topic: str) -> Response:
        return await self._send(request, topic, None)

    async def send_to_partition(self, request: Request, topic: str, partition: str) -> Response:
        return await self._send(request, topic, partition_of(partition))

    async def _send(self, request: Request, topic: str, partition: int | None) -> Response:
        if not self._enabled:
            raise HttpError(
                503, "Producer is disabled in config. To enable producer update http.producer.enabled to true"
            )
        answers_at_once = flag_of(request, "async")
        topic_of(topic)
        records = outgoing(given_format(request), request.body, partition)
        producer = (await self._clients.of(request)).producer
        sent: list[Delivery | ClientError] = []
        for each in records:
            last = sent[-1] if sent else None
            if isinstance(last, ClientError) and last.retriable:
                sent.append(last)  # it had `max.block.ms`, and each of the others would wait as long
            else:
                sent.append(await _put(producer, topic, each))
            if len(sent) % _TURN == 0:
                await asyncio.sleep(0)
        if answers_at_once:
            return Response(status=204)
        return Response({"offsets": [await _outcome(each) for each in sent]})


async def _put(producer: AsyncProducer, topic: str, record: Outgoing) -> Delivery | ClientError:
    """Its failure is the record's own: others are sent all the same."""
    try:
        return await producer.send(
            topic,
            record.value,
            key=record.key,
            headers=record.headers,
            timestamp=record.timestamp,
            partition=record.partition,
        )
    except ClientError as error:
        return error


async def _outcome(sent: Delivery | ClientError) -> Mapping[str, object]:
    try:
        if isinstance(sent, ClientError):
            raise sent
        where = await sent
    except ClientError as error:
        missing = error.code is ErrorCode.invalid_partitions
        return {"error_code": 404 if missing else status_of(error), "message": str(error)}
    return {"partition": where.partition, "offset": where.offset}
