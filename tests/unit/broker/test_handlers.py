"""Handlers alone: their services are stand-ins, and there is no broker."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ottla.broker.apis import APIS, load
from ottla.broker.quotas import ClientQuotas
from ottla.broker.request import RequestContext
from ottla.broker.services import Node, TopicServices
from ottla.clock import Clock
from ottla.config.broker import broker_config
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import BrokerRegistration, Endpoint, PartitionState, Topic
from ottla.metadata.topics import NewTopic, Take, unlimited
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest
from ottla.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from ottla.protocol.messages.metadata import MetadataRequest
from ottla.security.principal import ANONYMOUS

LISTENERS = {"INSIDE": Endpoint("10.0.0.1", 9092), "OUTSIDE": Endpoint("broker.example", 19092)}
TOPIC = Topic("known", uuid.UUID(int=7), (PartitionState((1,), (1,), 1),))


class KnownTopics:
    """Stands for the controller: knows an image, and notes what it is asked to change."""

    def __init__(self) -> None:
        self.image = MetadataImage(
            topics={TOPIC.name: TOPIC},
            topics_by_id={TOPIC.topic_id: TOPIC},
            brokers={1: BrokerRegistration(1, LISTENERS, "rack-a")},
        )
        self.deleted: list[str] = []
        self.created: list[str] = []

    async def delete_topics(
        self, names: Sequence[str], *, take: Take = unlimited
    ) -> Mapping[str, Topic | KafkaError]:
        for name in names:
            take(name, 1)
        self.deleted += names
        return dict.fromkeys(names, TOPIC)

    async def create_topics(
        self, wanted: Sequence[NewTopic], *, validate_only: bool = False, take: Take = unlimited
    ) -> Mapping[str, Topic | KafkaError]:
        assert validate_only
        return {each.name: KafkaError(ErrorCode.topic_already_exists) for each in wanted}

    async def auto_create_topics(self, names: Sequence[str]) -> None:
        self.created += names


def services(known: KnownTopics, **settings: Any) -> TopicServices:
    node = Node(1, "rack-a")
    node.cluster_id = "cluster"
    config = CurrentConfig(replace(broker_config(), **settings), BrokerLayers())
    quotas = ClientQuotas(broker_config(), Clock())
    return TopicServices(
        node=node,
        config=config,
        sources=config,
        metadata=known,  # type: ignore[arg-type]
        topics=known,
        quotas=quotas,
    )


def context(api_key: int, version: int, listener: str = "INSIDE") -> RequestContext:
    return RequestContext(Session(ANONYMOUS, listener, "192.0.2.1"), api_key, version, 5, "client", 1_000)


def handle(api: str, *arguments: Any) -> Any:
    return load(next(each for each in APIS if each.name == api)).handle(*arguments)


async def test_delete_topics_deletes_what_an_id_names() -> None:
    known = KnownTopics()
    asked = DeleteTopicsRequest(
        topics=[DeleteTopicState(topic_id=TOPIC.topic_id), DeleteTopicState(topic_id=uuid.UUID(int=8))]
    )
    response: Any = await handle("DeleteTopics", services(known), context(20, 6), asked)
    assert known.deleted == ["known"]
    codes = {each.topic_id: each.error_code for each in response.responses}
    assert codes == {TOPIC.topic_id: ErrorCode.none, uuid.UUID(int=8): ErrorCode.unknown_topic_id}


async def test_metadata_shows_the_address_of_the_listener_that_was_asked() -> None:
    asked = MetadataRequest(topics=[])
    for listener, address in (("INSIDE", ("10.0.0.1", 9092)), ("OUTSIDE", ("broker.example", 19092))):
        response: Any = handle("Metadata", services(KnownTopics()), context(3, 9, listener), asked)
        (broker,) = response.brokers
        assert (broker.host, broker.port, broker.rack) == (*address, "rack-a")
    hidden: Any = handle("Metadata", services(KnownTopics()), context(3, 9, "CONTROL"), asked)
    assert not hidden.brokers


async def test_topics_to_create_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = CreateTopicsRequest(
        topics=[CreatableTopic(name=f"t{number}") for number in range(20)], validate_only=True
    )

    def compared(one: object, other: object) -> bool:
        raise AssertionError(f"{one} is compared with {other}")

    monkeypatch.setattr(CreatableTopic, "__eq__", compared)
    answer = await handle("CreateTopics", services(KnownTopics()), context(19, 7), asked)
    assert {each.error_code for each in answer.topics} == {ErrorCode.topic_already_exists}
