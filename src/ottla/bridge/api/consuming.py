"""Records out of topics, by consumers that the bridge keeps for its clients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from ottla.bridge.addresses import consumer_uri
from ottla.bridge.api.services import Services
from ottla.bridge.bodies import NewConsumer, Offsets, Partitions, Subscription, body_of
from ottla.bridge.consumers import Instance, InstanceId
from ottla.bridge.media import Format, accepts, check_plain
from ottla.client.connecting import AsyncClient
from ottla.http.app import Request, Response, Route, route
from ottla.http.errors import HttpError

_INSTANCE = "/consumers/{groupid}/instances/{name}"
_DONE = 204


class Consuming:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings
        self._consumers = services.consumers

    def routes(self) -> Sequence[Route]:
        return (
            route("POST", "/consumers/{groupid}", self.create),
            route("DELETE", _INSTANCE, self.delete),
            route("POST", f"{_INSTANCE}/subscription", self.subscribe),
            route("GET", f"{_INSTANCE}/subscription", self.subscription),
            route("DELETE", f"{_INSTANCE}/subscription", self.unsubscribe),
            route("POST", f"{_INSTANCE}/assignments", self.assign),
            route("GET", f"{_INSTANCE}/records", self.poll),
            route("POST", f"{_INSTANCE}/offsets", self.commit),
            route("POST", f"{_INSTANCE}/positions", self.seek),
            route("POST", f"{_INSTANCE}/positions/beginning", partial(self._seek_to, end=False)),
            route("POST", f"{_INSTANCE}/positions/end", partial(self._seek_to, end=True)),
        )

    async def create(self, request: Request, group: str) -> Response:
        if not self._settings.http_consumer_enabled:
            raise HttpError(
                503, "Consumer is disabled in config. To enable consumer update http.consumer.enabled to true"
            )
        check_plain(request)
        asked = body_of(NewConsumer, request, may_be_empty=True)
        try:
            format_ = Format(asked.format)
        except ValueError:
            raise HttpError(422, "Invalid format type.") from None
        services = self._services
        connected = await services.clients.of(request)
        name = (
            asked.name or f"{self._settings.bridge_id or 'kafka-bridge-consumer'}-{_new_id(connected.client)}"
        )
        settings = {**services.consumer_settings, **asked.settings(), "group.id": group}
        most_ms = self._settings.ottla_bridge_poll_max_ms
        self._consumers.add(
            InstanceId(connected.principal, group, name),
            lambda: connected.client.consumer(settings=settings),
            format_,
            min(int(asked.request_timeout_ms or most_ms), most_ms) / 1000,
        )
        path = request.target.partition("?")[0]
        uri = consumer_uri(request.headers, services.scheme, services.own_address, path, name)
        return Response({"instance_id": name, "base_uri": uri})

    async def delete(self, request: Request, group: str, name: str) -> Response:
        principal = (await self._services.clients.of(request)).principal
        await self._consumers.remove(InstanceId(principal, group, name))
        return Response(status=_DONE)

    async def _found(self, request: Request, group: str, name: str) -> Instance:
        check_plain(request)
        principal = (await self._services.clients.of(request)).principal
        return self._consumers.find(InstanceId(principal, group, name))

    async def subscribe(self, request: Request, group: str, name: str) -> Response:
        asked = await self._found(request, group, name)
        body = body_of(Subscription, request)
        await asked.subscribe(body.topics, body.topic_pattern)
        return Response(status=_DONE)

    async def subscription(self, request: Request, group: str, name: str) -> Response:
        assigned = (await self._found(request, group, name)).assignment()
        partitions = [{topic: numbers} for topic, numbers in assigned.items()]
        return Response({"topics": list(assigned), "partitions": partitions})

    async def unsubscribe(self, request: Request, group: str, name: str) -> Response:
        await (await self._found(request, group, name)).unsubscribe()
        return Response(status=_DONE)

    async def assign(self, request: Request, group: str, name: str) -> Response:
        asked = await self._found(request, group, name)
        await asked.assign(body_of(Partitions, request).partitions)
        return Response(status=_DONE)

    async def poll(self, request: Request, group: str, name: str) -> Response:
        if request.method == "HEAD":  # records would be taken, and not shown
            raise HttpError(405, "HTTP 405 Method Not Allowed", {"allow": "GET"})
        asked = await self._found(request, group, name)
        if not accepts(request, asked.format):
            raise HttpError(
                406, "Consumer format does not match the embedded format requested by the Accept header."
            )
        timeout_s = min(_whole(request, "timeout", 100) / 1000, asked.request_s)
        most = self._settings.ottla_bridge_poll_max_bytes
        most = min(_whole(request, "max_bytes", most), most)
        body = await asked.poll(timeout_s, most, request.until_gone)
        return Response(body, type=asked.format.media_type)

    async def commit(self, request: Request, group: str, name: str) -> Response:
        asked = await self._found(request, group, name)
        offsets = body_of(Offsets, request).offsets if request.body.strip() not in (b"", b"{}") else None
        await asked.commit(offsets, self._settings.ottla_bridge_poll_max_ms / 1000)
        return Response(status=_DONE)

    async def seek(self, request: Request, group: str, name: str) -> Response:
        asked = await self._found(request, group, name)
        await asked.seek(body_of(Offsets, request).offsets)
        return Response(status=_DONE)

    async def _seek_to(self, request: Request, group: str, name: str, *, end: bool) -> Response:
        asked = await self._found(request, group, name)
        await asked.seek_to(body_of(Partitions, request).partitions, end=end)
        return Response(status=_DONE)


def _new_id(client: AsyncClient) -> UUID:
    return UUID(int=client.cluster.host.random.getrandbits(128), version=4)


def _whole(request: Request, name: str, default: int) -> int:
    text = request.text(name)
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise HttpError(400, f"Parameter error on: {name} - {text[:100]!r} is no whole number")
    return int(text)
