"""Topics and their partitions."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.bridge.api.services import Services
from ottla.bridge.bodies import CreatedTopic, body_of, partition_of, topic_of
from ottla.bridge.media import check_plain
from ottla.client.admin.configs import ConfigKind, ConfigResource
from ottla.client.admin.records import OffsetSpec
from ottla.client.admin.topics import NewTopic, PartitionDescription, TopicDescription
from ottla.client.core.metadata import TopicPartition
from ottla.http.app import Request, Response, Route, route
from ottla.http.errors import HttpError


class Topics:
    def __init__(self, services: Services) -> None:
        self._admin = services.client.admin

    def routes(self) -> Sequence[Route]:
        return (
            route("GET", "/topics", self.list),
            route("POST", "/admin/topics", self.create),
            route("GET", "/topics/{topicname}", self.get),
            route("GET", "/topics/{topicname}/partitions", self.partitions),
            route("GET", "/topics/{topicname}/partitions/{partitionid}", self.partition),
            route("GET", "/topics/{topicname}/partitions/{partitionid}/offsets", self.offsets),
        )

    async def list(self, _request: Request) -> Response:
        return Response([each.name for each in await self._admin.topics.list()])

    async def create(self, request: Request) -> Response:
        check_plain(request)
        asked = body_of(CreatedTopic, request)
        topic = NewTopic(asked.topic_name, asked.partitions_count or -1, asked.replication_factor or -1)
        (await self._admin.topics.create([topic])).check()
        return Response({}, status=201)

    async def get(self, _request: Request, name: str) -> Response:
        description = await self._described(name)
        resource = ConfigResource(ConfigKind.TOPIC, name)
        configs = (await self._admin.configs.describe([resource]))[resource]
        return Response(
            {
                "name": name,
                "configs": {each.name: each.value for each in configs.values() if each.value is not None},
                "partitions": [_shown(each) for each in description.partitions],
            }
        )

    async def partitions(self, _request: Request, name: str) -> Response:
        return Response([_shown(each) for each in (await self._described(name)).partitions])

    async def partition(self, _request: Request, name: str, partition: str) -> Response:
        return Response(_shown(await self._one(name, partition)))

    async def offsets(self, _request: Request, name: str, partition: str) -> Response:
        which = TopicPartition(name, (await self._one(name, partition)).partition)
        first = (await self._admin.records.list_offsets({which: OffsetSpec.EARLIEST}))[which]
        end = (await self._admin.records.list_offsets({which: OffsetSpec.LATEST}))[which]
        return Response({"beginning_offset": first.offset, "end_offset": end.offset})

    async def _one(self, name: str, partition: str) -> PartitionDescription:
        number = partition_of(partition)
        for each in (await self._described(name)).partitions:
            if each.partition == number:
                return each
        raise HttpError(404, "Specified partition does not exist.")

    async def _described(self, name: str) -> TopicDescription:
        return (await self._admin.topics.describe([topic_of(name)]))[name]


def _shown(partition: PartitionDescription) -> dict[str, object]:
    return {
        "partition": partition.partition,
        "leader": -1 if partition.leader is None else partition.leader,
        "replicas": [
            {"broker": each, "leader": each == partition.leader, "in_sync": each in partition.isr}
            for each in partition.replicas
        ],
    }
