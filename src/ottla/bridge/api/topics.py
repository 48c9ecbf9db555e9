"""Topics and their partitions."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.bridge.api.services import Services
from ottla.bridge.bodies import CreatedTopic, body_of, partition_of, topic_of
from ottla.bridge.media import check_plain
from ottla.client.admin.admin import AsyncAdmin
from ottla.client.admin.configs import ConfigKind, ConfigResource
from ottla.client.admin.records import OffsetSpec
from ottla.client.admin.topics import NewTopic, PartitionDescription, TopicDescription
from ottla.client.core.metadata import TopicPartition
from ottla.http.app import Request, Response, Route, route
from ottla.http.errors import HttpError


class Topics:
    def __init__(self, services: Services) -> None:
        self._clients = services.clients

    def routes(self) -> Sequence[Route]:
        return (
            route("GET", "/topics", self.list),
            route("POST", "/admin/topics", self.create),
            route("GET", "/topics/{topicname}", self.get),
            route("GET", "/topics/{topicname}/partitions", self.partitions),
            route("GET", "/topics/{topicname}/partitions/{partitionid}", self.partition),
            route("GET", "/topics/{topicname}/partitions/{partitionid}/offsets", self.offsets),
        )

    async def _admin(self, request: Request) -> AsyncAdmin:
        return (await self._clients.of(request)).client.admin

    async def list(self, request: Request) -> Response:
        admin = await self._admin(request)
        return Response([each.name for each in await admin.topics.list()])

    async def create(self, request: Request) -> Response:
        check_plain(request)
        asked = body_of(CreatedTopic, request)
        topic = NewTopic(asked.topic_name, asked.partitions_count or -1, asked.replication_factor or -1)
        admin = await self._admin(request)
        (await admin.topics.create([topic])).check()
        return Response({}, status=201)

    async def get(self, request: Request, name: str) -> Response:
        description = await self._described(request, name)
        resource = ConfigResource(ConfigKind.TOPIC, name)
        admin = await self._admin(request)
        configs = (await admin.configs.describe([resource]))[resource]
        return Response(
            {
                "name": name,
                "configs": {each.name: each.value for each in configs.values() if each.value is not None},
                "partitions": [_shown(each) for each in description.partitions],
            }
        )

    async def partitions(self, request: Request, name: str) -> Response:
        return Response([_shown(each) for each in (await self._described(request, name)).partitions])

    async def partition(self, request: Request, name: str, partition: str) -> Response:
        return Response(_shown(await self._one(request, name, partition)))

    async def offsets(self, request: Request, name: str, partition: str) -> Response:
        which = TopicPartition(name, (await self._one(request, name, partition)).partition)
        records = (await self._admin(request)).records
        first = (await records.list_offsets({which: OffsetSpec.EARLIEST}))[which]
        end = (await records.list_offsets({which: OffsetSpec.LATEST}))[which]
        return Response({"beginning_offset": first.offset, "end_offset": end.offset})

    async def _one(self, request: Request, name: str, partition: str) -> PartitionDescription:
        number = partition_of(partition)
        for each in (await self._described(request, name)).partitions:
            if each.partition == number:
                return each
        raise HttpError(404, "Specified partition does not exist.")

    async def _described(self, request: Request, name: str) -> TopicDescription:
        admin = await self._admin(request)
        return (await admin.topics.describe([topic_of(name)]))[name]


def _shown(partition: PartitionDescription) -> dict[str, object]:
    return {
        "partition": partition.partition,
        "leader": -1 if partition.leader is None else partition.leader,
        "replicas": [
            {"broker": each, "leader": each == partition.leader, "in_sync": each in partition.isr}
            for each in partition.replicas
        ],
    }
