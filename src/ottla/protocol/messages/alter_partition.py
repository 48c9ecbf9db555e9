"""AlterPartition: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class BrokerState(Struct):
    broker_id: int = field("int32", "3+")
    broker_epoch: int = field("int64", "3+", default=-1)


class AlterPartitionRequestPartitionData(Struct):
    partition_index: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    new_isr: Sequence[int] = array("int32", "0-2")
    new_isr_with_epochs: Sequence[BrokerState] = array(BrokerState, "3+")
    leader_recovery_state: int = field("int8", "1+")
    partition_epoch: int = field("int32", "0+")


class AlterPartitionRequestTopicData(Struct):
    topic_id: UUID | None = field("uuid", "2+")
    partitions: Sequence[AlterPartitionRequestPartitionData] = array(AlterPartitionRequestPartitionData, "0+")


class AlterPartitionRequest(Struct, key=56, versions="2-3", flexible="0+"):
    broker_id: int = field("int32", "0+")
    broker_epoch: int = field("int64", "0+", default=-1)
    topics: Sequence[AlterPartitionRequestTopicData] = array(AlterPartitionRequestTopicData, "0+")


class AlterPartitionResponsePartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    isr: Sequence[int] = array("int32", "0+")
    leader_recovery_state: int = field("int8", "1+")
    partition_epoch: int = field("int32", "0+")


class AlterPartitionResponseTopicData(Struct):
    topic_id: UUID | None = field("uuid", "2+")
    partitions: Sequence[AlterPartitionResponsePartitionData] = array(
        AlterPartitionResponsePartitionData, "0+"
    )


class AlterPartitionResponse(Struct, key=56, versions="2-3", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    topics: Sequence[AlterPartitionResponseTopicData] = array(AlterPartitionResponseTopicData, "0+")
