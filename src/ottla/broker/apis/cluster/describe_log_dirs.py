"""DescribeLogDirs: how large each partition's log is, and how full the disk."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode
from ottla.replica.partition import Partition


def _handle(services: ClusterServices, _context: RequestContext, message: Any) -> Response:
    topics: dict[str, list[dict[str, Any]]] = {}
    for partition in _asked(services, message):
        topics.setdefault(partition.topic, []).append(
            {"partition_index": partition.index, "partition_size": partition.log.size, "offset_lag": 0}
        )
    total_bytes, usable_bytes = services.data_dir.space()
    described = {
        "error_code": ErrorCode.none,
        "log_dir": services.data_dir.path,
        "topics": [{"name": name, "partitions": found} for name, found in topics.items()],
        "total_bytes": total_bytes,
        "usable_bytes": usable_bytes,
    }
    return {"error_code": ErrorCode.none, "results": [described]}


def _asked(services: ClusterServices, message: Any) -> list[Partition]:
    partitions = services.partitions
    if message.topics is None:
        return list(partitions)
    return [
        partition
        for topic in message.topics
        for partition in partitions.of_topic(topic.topic)
        if partition.index in topic.partitions
    ]


API = Api(key=35, name="DescribeLogDirs", versions=(1, 5), handle=_handle, kips=(113, 827, 1066))
