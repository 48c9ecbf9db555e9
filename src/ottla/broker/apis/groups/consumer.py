"""ConsumerGroupHeartbeat, ConsumerGroupDescribe: groups that the coordinator assigns for (KIP-848)."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.rights import All, ByHandler, OnEach, OnNamed, itself, may, operations, require
from ottla.broker.services import GroupServices
from ottla.coordinator.shards import Answered
from ottla.metadata.model import GROUP_VERSION
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.consumer_group_describe import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DescribedGroup,
)
from ottla.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from ottla.security.operations import GROUP_OPERATIONS


def _heartbeat(
    services: GroupServices, context: RequestContext, message: ConsumerGroupHeartbeatRequest
) -> Answered[ConsumerGroupHeartbeatResponse]:
    _check_served(services)
    for topic in message.subscribed_topic_names or ():
        require(context, Operation.DESCRIBE, ResourceType.TOPIC, topic)
    return services.groups.consumer_group_heartbeat(message, client_of(context))


async def _describe(
    services: GroupServices, context: RequestContext, message: ConsumerGroupDescribeRequest
) -> ConsumerGroupDescribeResponse:
    _check_served(services)
    named = [group_id for group_id in message.group_ids if group_id]
    described, refused = await services.groups.consumer_group_describe(named, client_of(context))
    for group in described:
        _hide_topics(context, group)
    if message.include_authorized_operations:
        for group in described:
            if not group.error_code:
                group.authorized_operations = operations(
                    context, GROUP_OPERATIONS, ResourceType.GROUP, group.group_id
                )
    elsewhere = [DescribedGroup(group_id=name, error_code=error.code) for name, error in refused.items()]
    if len(named) < len(message.group_ids):
        elsewhere.append(DescribedGroup(group_id="", error_code=ErrorCode.invalid_group_id))
    return ConsumerGroupDescribeResponse(groups=[*described, *elsewhere])


def _hide_topics(context: RequestContext, group: DescribedGroup) -> None:
    """A group whose members have topics that the client may not know of is not told (KIP-848)."""
    names = dict.fromkeys(
        topic.topic_name
        for member in group.members
        for assignment in (member.assignment, member.target_assignment)
        for topic in assignment.topic_partitions
    )
    if not all(
        may(context, Operation.DESCRIBE, ResourceType.TOPIC, name, is_asked_for=False) for name in names
    ):
        group.error_code = ErrorCode.topic_authorization_failed
        group.error_message = (
            "The group has described topic(s) that the client is not authorized to describe."
        )
        group.members = ()


def _check_served(services: GroupServices) -> None:
    is_wanted = "consumer" in services.config.value.group_coordinator_rebalance_protocols
    if not is_wanted or services.metadata.image.features.get(GROUP_VERSION, 0) < 1:
        raise KafkaError(ErrorCode.unsupported_version)


def _describe_error(
    message: ConsumerGroupDescribeRequest, code: ErrorCode, text: str | None
) -> ConsumerGroupDescribeResponse:
    groups = [
        DescribedGroup(group_id=name, error_code=code, error_message=text) for name in message.group_ids
    ]
    return ConsumerGroupDescribeResponse(groups=groups)


APIS = (
    Api(
        GroupServices,
        ConsumerGroupHeartbeatRequest,
        ConsumerGroupHeartbeatResponse,
        _heartbeat,
        right=All(
            OnNamed[ConsumerGroupHeartbeatRequest](
                Operation.READ, ResourceType.GROUP, lambda message: message.group_id
            ),
            ByHandler("DESCRIBE on each topic that is subscribed to by name"),
        ),
        kips=(848, 1082),
    ),
    Api(
        GroupServices,
        ConsumerGroupDescribeRequest,
        ConsumerGroupDescribeResponse,
        _describe,
        right=All(
            OnEach(
                Operation.DESCRIBE,
                ResourceType.GROUP,
                "group_ids",
                lambda name, code: DescribedGroup(group_id=name, error_code=code),
                response=ConsumerGroupDescribeResponse,
                into="groups",
                name=itself,
            ),
            ByHandler("DESCRIBE on the topics of a group's members"),
        ),
        error=_describe_error,
        kips=(848, 1099),
    ),
)
