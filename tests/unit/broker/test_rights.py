"""What is held before a handler is called: whom it lets through, and what the audit log says."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from ottla.broker.apis import APIS, load
from ottla.broker.quotas import ClientQuotas
from ottla.broker.request import RequestContext
from ottla.broker.rights import All, Authorization, OnCluster, OnEach, OnNamed, itself, name_or_id, require
from ottla.broker.services import Node, TopicServices
from ottla.clock import Clock
from ottla.config.broker import broker_config
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.metadata.acls import CLUSTER_NAME, Acl, acl_key
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import PartitionState, Topic
from ottla.network.session import Session
from ottla.protocol.codes import Operation, PatternType, Permission, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.delete_groups import (
    DeletableGroupResult,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
)
from ottla.protocol.messages.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsRequestCursor,
    TopicRequest,
)
from ottla.protocol.messages.end_txn import EndTxnRequest
from ottla.security.principal import Principal

GROUP, CLUSTER = ResourceType.GROUP, ResourceType.CLUSTER


class Metadata:
    """What the cluster knows, to be changed by a test."""

    def __init__(self, *acls: Acl) -> None:
        self.image = MetadataImage(acls={acl_key(acl): acl for acl in acls})


def allowed(operation: Operation, resource_type: ResourceType, name: str, user: str = "User:ann") -> Acl:
    return Acl(resource_type, PatternType.LITERAL, name, user, "*", operation, Permission.ALLOW)


def authorization(metadata: Metadata, **settings: Any) -> Authorization:
    return Authorization(metadata, replace(broker_config(), **settings))


def context(user: str = "ann") -> RequestContext:
    return RequestContext(Session(Principal("User", user), "A", "192.0.2.1"), 42, 2, 5, "client", 1_000)


DELETE_EACH = OnEach(
    Operation.DELETE,
    GROUP,
    "groups_names",
    lambda name, code: DeletableGroupResult(group_id=name, error_code=code),
    response=DeleteGroupsResponse,
    into="results",
    name=itself,
)


def delete(_context: RequestContext, message: DeleteGroupsRequest) -> DeleteGroupsResponse:
    return DeleteGroupsResponse(
        results=[DeletableGroupResult(group_id=each) for each in message.groups_names]
    )


def codes(response: Any) -> dict[str, int]:
    return {each.group_id: each.error_code for each in response.results}


def test_every_api_says_what_right_it_needs() -> None:
    assert all(load(served).right.text for served in APIS)


def test_items_that_are_refused_are_answered_beside_the_others() -> None:
    metadata = Metadata(allowed(Operation.DELETE, GROUP, "mine"))
    guarded = DELETE_EACH.guard(delete, authorization(metadata))
    asked = DeleteGroupsRequest(groups_names=["other", "mine"])
    refused = ErrorCode.group_authorization_failed
    assert codes(guarded(context(), asked)) == {"mine": ErrorCode.none, "other": refused}
    assert asked.groups_names == ["other", "mine"]
    assert codes(guarded(context("bob"), asked)) == {"mine": refused, "other": refused}


async def test_an_answer_that_comes_later_is_added_to() -> None:
    async def later(context: RequestContext, message: DeleteGroupsRequest) -> DeleteGroupsResponse:
        return delete(context, message)

    metadata = Metadata(allowed(Operation.DELETE, GROUP, "mine"))
    result = DELETE_EACH.guard(later, authorization(metadata))(
        context(), DeleteGroupsRequest(groups_names=["other", "mine"])
    )
    assert isinstance(result, Awaitable)
    assert codes(await result) == {"mine": ErrorCode.none, "other": ErrorCode.group_authorization_failed}


def test_a_change_of_acls_counts_at_once_for_connections_that_are_there() -> None:
    metadata = Metadata()
    guarded = DELETE_EACH.guard(delete, authorization(metadata))
    here, asked = context(), DeleteGroupsRequest(groups_names=["mine"])
    assert codes(guarded(here, asked)) == {"mine": ErrorCode.group_authorization_failed}
    metadata.image = Metadata(allowed(Operation.DELETE, GROUP, "mine")).image
    assert codes(guarded(here, asked)) == {"mine": ErrorCode.none}


@pytest.mark.parametrize("operation", [Operation.CLUSTER_ACTION, Operation.ALTER])
def test_one_of_two_operations_on_the_cluster_suffices(operation: Operation) -> None:
    right = OnCluster(Operation.CLUSTER_ACTION, also=Operation.ALTER)
    guarded = right.guard(lambda *_: None, authorization(Metadata(allowed(operation, CLUSTER, CLUSTER_NAME))))
    assert guarded(context(), None) is None
    with pytest.raises(KafkaError) as refused:
        guarded(context("bob"), None)
    assert refused.value.code is ErrorCode.cluster_authorization_failed


def test_all_rights_are_asked_for_in_order() -> None:
    on_id = OnNamed[EndTxnRequest](
        Operation.WRITE, ResourceType.TRANSACTIONAL_ID, lambda message: message.transactional_id
    )
    metadata = Metadata(allowed(Operation.ALTER, CLUSTER, CLUSTER_NAME))
    guarded = All(OnCluster(Operation.ALTER), on_id).guard(lambda *_: None, authorization(metadata))
    for user, code in (
        ("bob", "cluster_authorization_failed"),
        ("ann", "transactional_id_authorization_failed"),
    ):
        with pytest.raises(KafkaError) as refused:
            guarded(context(user), EndTxnRequest(transactional_id="t"))
        assert refused.value.code.name == code


def test_super_users_may_all() -> None:
    guarded = DELETE_EACH.guard(delete, authorization(Metadata(), super_users="User:root; User:ann"))
    assert codes(guarded(context(), DeleteGroupsRequest(groups_names=["any"]))) == {"any": ErrorCode.none}


def test_denials_are_told_to_the_audit_log(caplog: pytest.LogCaptureFixture) -> None:
    guarded = DELETE_EACH.guard(delete, authorization(Metadata()))
    with caplog.at_level(logging.INFO, "ottla.authorizer"):
        guarded(context(), DeleteGroupsRequest(groups_names=["mine"]))
    (told,) = caplog.messages
    assert told == (
        "Principal = User:ann is Denied operation = DELETE from host = 192.0.2.1 "
        "on resource = Group:LITERAL:mine for request = DeleteGroups based on rule DefaultDeny"
    )


def test_a_name_does_not_write_lines_into_the_audit_log(caplog: pytest.LogCaptureFixture) -> None:
    guarded = DELETE_EACH.guard(delete, authorization(Metadata()))
    with caplog.at_level(logging.INFO, "ottla.authorizer"):
        guarded(context(), DeleteGroupsRequest(groups_names=["a\nPrincipal = User:ann is Allowed"]))
    (told,) = caplog.messages
    assert "Group:LITERAL:a\\nPrincipal = User:ann" in told
    assert told.isprintable()


def test_without_an_authorizer_everybody_may_everything() -> None:
    require(context(), Operation.ALTER, CLUSTER)


def test_a_topic_that_no_id_names_is_left_to_the_handler() -> None:
    class Asked:
        name = None
        topic_id = UUID(int=7)

    assert name_or_id(MetadataImage(), Asked()) is None


@pytest.mark.parametrize("is_named", [True, False])
def test_topics_that_may_not_be_known_are_left_out_of_pages_and_refused_by_name(is_named: bool) -> None:
    topics = {
        name: Topic(name, UUID(int=number), (PartitionState((1,), (1,), 1),) * 3)
        for number, name in enumerate("abcd", 1)
    }
    seen = [allowed(Operation.DESCRIBE, ResourceType.TOPIC, name) for name in "bd"]
    metadata = Metadata(*seen)
    metadata.image = metadata.image._replace(topics=topics)
    api = load(next(each for each in APIS if each.name == "DescribeTopicPartitions"))
    config = CurrentConfig(broker_config(), BrokerLayers())
    services = TopicServices(
        node=Node(1, None),
        config=config,
        sources=config,
        metadata=metadata,
        topics=None,  # type: ignore[arg-type]
        quotas=ClientQuotas(broker_config(), Clock()),
    )
    guarded: Any = api.right.guard(partial(api.handle, services), authorization(metadata))
    here = context()
    asked = DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name=name) for name in "abcd"] if is_named else [], response_partition_limit=2
    )
    told, hidden = [], []
    for _ in range(4):
        page = guarded(here, asked)
        for topic in page.topics:
            if topic.error_code:
                assert topic.error_code == ErrorCode.topic_authorization_failed
                hidden.append(topic.name)
            told += [(topic.name, each.partition_index) for each in topic.partitions]
        if page.next_cursor is None:
            break
        asked.cursor = DescribeTopicPartitionsRequestCursor(
            topic_name=page.next_cursor.topic_name, partition_index=page.next_cursor.partition_index
        )
    assert told == [(name, index) for name in "bd" for index in range(3)]
    assert hidden == (["a", "c"] if is_named else [])
    asked.cursor = DescribeTopicPartitionsRequestCursor(topic_name="c", partition_index=2)
    assert [each.partition_index for each in guarded(here, asked).topics[0].partitions] == [0, 1]
