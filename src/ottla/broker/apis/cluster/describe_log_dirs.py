"""DescribeLogDirs: how large each partition's log is, and how full the disk."""

from __future__ import annotations

from collections.abc import Iterable

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)
from ottla.replica.partition import Partition


def _handle(
    services: ClusterServices, _context: RequestContext, message: DescribeLogDirsRequest
) -> DescribeLogDirsResponse:
    topics: dict[str, list[DescribeLogDirsPartition]] = {}
    for partition in _asked(services, message):
        topics.setdefault(partition.topic, []).append(
            DescribeLogDirsPartition(partition_index=partition.index, partition_size=partition.log.size)
        )
    total_bytes, usable_bytes = services.data_dir.space()
    described = DescribeLogDirsResult(
        log_dir=services.data_dir.path,
        topics=[DescribeLogDirsTopic(name=name, partitions=found) for name, found in topics.items()],
        total_bytes=total_bytes,
        usable_bytes=usable_bytes,
    )
    return DescribeLogDirsResponse(results=[described])


def _asked(services: ClusterServices, message: DescribeLogDirsRequest) -> Iterable[Partition]:
    partitions = services.partitions
    if message.topics is None:
        return partitions
    return [
        partition
        for topic in message.topics
        for partition in partitions.of_topic(topic.topic)
        if partition.index in topic.partitions
    ]


API = Api(key=35, name="DescribeLogDirs", versions=(1, 5), handle=_handle, kips=(113, 827, 1066))
