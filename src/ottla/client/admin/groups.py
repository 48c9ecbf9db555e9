"""Groups of all kinds: list, describe, delete, remove members. Offsets are in `group_offsets.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ottla.client.admin.calls import Calls, Named, Node, group_coordinator, outcome
from ottla.client.admin.results import Results
from ottla.client.errors import BrokerUpgradeError, ClientError, broker_error
from ottla.client.face import Face, awaited
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse

if TYPE_CHECKING:
    from ottla.client.admin.group_descriptions import (
        GroupDescription,
        ShareGroupDescription,
        StreamsGroupDescription,
    )

__all__ = ["BlockingGroups", "Groups", "ListedGroup", "MemberToRemove"]


class ListedGroup(NamedTuple):
    """`type` is "classic", "consumer", "share" or "streams", and `state` Kafka's name of it; "" where the
    broker is too old to say. `protocol_type` is "consumer" for consumers."""

    group_id: str
    type: str
    state: str
    protocol_type: str


class MemberToRemove(NamedTuple):
    """A member by the id of its instance (static members) or by its own."""

    group_instance_id: str | None = None
    member_id: str = ""


class Groups:
    """Admin calls about groups."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def list(
        self, *, states: Iterable[str] = (), types: Iterable[str] = ()
    ) -> Results[int, Sequence[ListedGroup]]:
        """The groups that each broker, by its id, coordinates; those of `states` and `types` if given."""
        wanted_states, wanted_types = list(states), list(types)
        first_version = 5 if wanted_types else 4 if wanted_states else None

        async def ask(node: Node, keys: Sequence[int]) -> Mapping[int, Sequence[ListedGroup] | ClientError]:
            response = await self._calls.send(
                ListGroupsRequest(states_filter=wanted_states, types_filter=wanted_types),
                ListGroupsResponse,
                node,
                min_version=first_version,
            )
            found = [
                ListedGroup(each.group_id, each.group_type.lower(), each.group_state, each.protocol_type)
                for each in response.groups
            ]
            return {keys[0]: outcome(response.error_code, found)}

        loading = {ErrorCode.coordinator_load_in_progress, ErrorCode.coordinator_not_available}
        brokers = await self._calls.brokers()
        return await self._calls.each(brokers, Named(int), ask, also_retried=loading)

    async def describe(
        self, groups: Iterable[str], *, include_operations: bool = False
    ) -> Results[str, GroupDescription]:
        """Consumer groups of either protocol, and other classic groups."""
        from ottla.client.admin.group_descriptions import describe_classic, describe_consumer
        from ottla.protocol.messages.consumer_group_describe import (
            ConsumerGroupDescribeRequest,
            ConsumerGroupDescribeResponse,
        )
        from ottla.protocol.messages.describe_groups import DescribeGroupsRequest, DescribeGroupsResponse

        names = list(groups)

        async def ask_new(node: Node, keys: Sequence[str]) -> Mapping[str, GroupDescription | ClientError]:
            request = ConsumerGroupDescribeRequest(
                group_ids=keys, include_authorized_operations=include_operations
            )
            response = await self._calls.send(request, ConsumerGroupDescribeResponse, node)
            return {each.group_id: describe_consumer(each, node) for each in response.groups}

        async def ask_classic(
            node: Node, keys: Sequence[str]
        ) -> Mapping[str, GroupDescription | ClientError]:
            request = DescribeGroupsRequest(groups=keys, include_authorized_operations=include_operations)
            response = await self._calls.send(request, DescribeGroupsResponse, node)
            return {each.group_id: describe_classic(each, node) for each in response.groups}

        found = await self._calls.each(names, group_coordinator(), ask_new)
        others = [name for name, error in found.errors.items() if _is_other_kind(error)]
        if not others:
            return found
        classic = await self._calls.each(others, group_coordinator(), ask_classic)
        return found.replaced(classic)

    async def describe_share(
        self, groups: Iterable[str], *, include_operations: bool = False
    ) -> Results[str, ShareGroupDescription]:
        """Share groups (KIP-932)."""
        from ottla.client.admin.group_descriptions import describe_share
        from ottla.protocol.messages.share_group_describe import (
            ShareGroupDescribeRequest,
            ShareGroupDescribeResponse,
        )

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, ShareGroupDescription | ClientError]:
            request = ShareGroupDescribeRequest(
                group_ids=keys, include_authorized_operations=include_operations
            )
            response = await self._calls.send(request, ShareGroupDescribeResponse, node)
            return {each.group_id: describe_share(each, node) for each in response.groups}

        return await self._calls.each(groups, group_coordinator(), ask)

    async def describe_streams(
        self, groups: Iterable[str], *, include_operations: bool = False
    ) -> Results[str, StreamsGroupDescription]:
        """Streams groups (KIP-1071)."""
        from ottla.client.admin.group_descriptions import describe_streams
        from ottla.protocol.messages.streams_group_describe import (
            StreamsGroupDescribeRequest,
            StreamsGroupDescribeResponse,
        )

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, StreamsGroupDescription | ClientError]:
            request = StreamsGroupDescribeRequest(
                group_ids=keys, include_authorized_operations=include_operations
            )
            response = await self._calls.send(request, StreamsGroupDescribeResponse, node)
            return {each.group_id: describe_streams(each, node) for each in response.groups}

        return await self._calls.each(groups, group_coordinator(), ask)

    async def delete(self, groups: Iterable[str]) -> Results[str, None]:
        """Delete groups of any kind that have no members, with their offsets."""
        from ottla.protocol.messages.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, ClientError | None]:
            response = await self._calls.send(
                DeleteGroupsRequest(groups_names=keys), DeleteGroupsResponse, node
            )
            return {each.group_id: outcome(each.error_code, None) for each in response.results}

        return await self._calls.each(groups, group_coordinator(), ask)

    async def remove_members(
        self, group: str, members: Iterable[MemberToRemove], *, reason: str | None = None
    ) -> Results[MemberToRemove, None]:
        """Have members leave a classic group (KIP-345)."""
        from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity

        async def ask(
            node: Node, keys: Sequence[MemberToRemove]
        ) -> Mapping[MemberToRemove, ClientError | None]:
            leaving = [
                MemberIdentity(
                    member_id=key.member_id, group_instance_id=key.group_instance_id, reason=reason
                )
                for key in keys
            ]
            request = LeaveGroupRequest(group_id=group, members=leaving)
            response = await self._calls.send(request, LeaveGroupResponse, node, min_version=3)
            if response.error_code:
                raise broker_error(response.error_code, what=f"group {group}")
            # Members are answered in the order in which they were named.
            return {
                key: outcome(each.error_code, None) for key, each in zip(keys, response.members, strict=False)
            }

        return await self._calls.each(members, group_coordinator(group), ask)


class BlockingGroups(Face[Groups]):
    """`Groups` for callers that wait."""

    list = awaited(Groups.list)
    describe = awaited(Groups.describe)
    describe_share = awaited(Groups.describe_share)
    describe_streams = awaited(Groups.describe_streams)
    delete = awaited(Groups.delete)
    remove_members = awaited(Groups.remove_members)


def _is_other_kind(error: ClientError) -> bool:
    """Whether there may be a classic group instead; brokers before Kafka 3.7 know no others."""
    codes = ErrorCode.group_id_not_found, ErrorCode.unsupported_version
    return error.code in codes or isinstance(error, BrokerUpgradeError)
