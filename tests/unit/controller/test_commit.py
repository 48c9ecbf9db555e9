import asyncio

import pytest

from ottla.controller import commit as commit_module
from ottla.metadata import model
from ottla.metadata.config_changes import ConfigOperation, ConfigResource, OperationKind, ResourceKind
from ottla.metadata.plan import Plan, Step
from ottla.metadata.topics import NewPartitions, NewTopic
from ottla.metadata.transaction import Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.faulty import Lost
from ottla.store.interface import StoreError

from .conftest import turns

CLUSTER = ConfigResource(ResourceKind.BROKER, "")


async def revision_of(store):
    return (await store.range("", limit=1)).revision


async def test_an_image_out_of_date_is_brought_up_to_date(node, other):
    await node.topics.create_topics([NewTopic("t", 1)])
    node.store.cut()  # its watch is late ...
    await other.topics.create_partitions([NewPartitions("t", 2)])
    growing = asyncio.create_task(node.topics.create_partitions([NewPartitions("t", 3)]))
    node.store.heal()  # ... and its transaction comes too late
    grown = (await growing)["t"]
    assert len(grown.partitions) == 3
    assert (await other.caught_up()).topics["t"] == node.image.topics["t"] == grown


async def test_of_two_that_make_the_same_topic_one_has_made_it(node, other):
    results = await asyncio.gather(*(each.topics.create_topics([NewTopic("t")]) for each in (node, other)))
    made = [result["t"] for result in results if not isinstance(result["t"], KafkaError)]
    (refused,) = [result["t"] for result in results if isinstance(result["t"], KafkaError)]
    assert refused.code is ErrorCode.topic_already_exists
    assert made == [node.image.topics["t"]]


@pytest.mark.parametrize("lost", list(Lost))
async def test_an_unknown_outcome_is_read_back(node, other, shared, lost):
    node.store.lose(lost)
    created = (await node.topics.create_topics([NewTopic("t", configs={"retention.ms": "7"})]))["t"]
    assert node.image.topics["t"] == created
    assert [outcome.committed for outcome in await node.store.deliver()] == [False] * (lost is Lost.DELAYED)
    assert await other.caught_up() == node.image
    assert await revision_of(shared) == 2


@pytest.mark.parametrize("lost", list(Lost))
async def test_an_unknown_deletion_is_read_back(node, other, shared, lost):
    await node.topics.create_topics([NewTopic("t")])
    node.store.lose(lost)
    assert (await node.topics.delete_topics(["t"]))["t"].name == "t"
    await node.store.deliver()
    assert await revision_of(shared) == 3
    assert node.image.topics == {}


async def test_what_another_did_meanwhile_is_not_taken_for_our_own(node, other):
    """Both make `t`; the answer of one is lost, and it was the other that won."""
    node.store.lose(Lost.DELAYED)
    ours = asyncio.create_task(node.topics.create_topics([NewTopic("t")]))
    while not node.store._delayed:
        await asyncio.sleep(0)
    theirs = await other.topics.create_topics([NewTopic("t")])
    result = (await ours)["t"]
    made = node.image.topics["t"]
    assert [isinstance(result, KafkaError), theirs["t"] == made] in ([True, True], [False, False])
    assert [outcome.committed for outcome in await node.store.deliver()] == [False]
    assert (await other.caught_up()).topics["t"] == made


async def test_a_store_that_cannot_be_read_back_says_so(monkeypatch, node):
    monkeypatch.setattr(commit_module, "_READ_BACK_S", 0.05)
    monkeypatch.setattr(commit_module, "_READ_BACK_RETRY_S", 0.01)
    node.store.cut()
    with pytest.raises(KafkaError, match="not known whether") as refused:
        await node.topics.create_topics([NewTopic("t")])
    assert refused.value.code is ErrorCode.request_timed_out
    node.store.heal()
    assert (await node.topics.create_topics([NewTopic("t")]))["t"].name == "t"


async def test_what_other_brokers_may_not_know_yet_is_not_written(node, shared):
    def add_user(_image):
        change = Transaction(writes=(Put("/scram/SCRAM-SHA-256/ann", b"{}"),))
        return Plan((Step(change, ("ann",)),), {"ann": None})

    before = await revision_of(shared)
    with pytest.raises(KafkaError, match="ottla.metadata.version") as refused:
        await node.committer.change(add_user)
    assert refused.value.code is ErrorCode.unsupported_version
    assert await revision_of(shared) == before


async def test_a_store_that_takes_no_change_says_so(node):
    async def full(transaction):
        raise StoreError("the disk is full")

    whole, node.store.transaction = node.store.transaction, full
    with pytest.raises(KafkaError, match="the disk is full") as refused:
        await node.topics.create_topics([NewTopic("t")])
    assert refused.value.code is ErrorCode.kafka_storage_error
    with pytest.raises(KafkaError, match="the disk is full"):
        await node.producer_ids.next_producer_id()
    node.store.transaction = whole
    assert (await node.topics.create_topics([NewTopic("t")]))["t"].name == "t"


async def test_many_topics_are_all_made_although_another_comes_between(node, other):
    node.store.cut()  # it does not see what the other does ...
    await other.topics.create_topics([NewTopic("t200")])
    names = [f"t{number}" for number in range(300)]
    creating = asyncio.create_task(node.topics.create_topics([NewTopic(name) for name in names]))
    node.store.heal()  # ... and the second of its transactions is refused
    results = await creating
    refused = {name: result for name, result in results.items() if isinstance(result, KafkaError)}
    assert [(name, error.code) for name, error in refused.items()] == [
        ("t200", ErrorCode.topic_already_exists)
    ]
    assert all(results[name] == node.image.topics[name] for name in names if name not in refused)
    assert len(node.image.topics) == 300


async def test_what_was_made_before_the_disk_was_full_is_told(node):
    room, transaction = iter(range(1)), node.store.transaction

    async def small(wanted):
        for _ in room:
            return await transaction(wanted)
        raise StoreError("the disk is full")

    node.store.transaction = small
    results = await node.topics.create_topics([NewTopic(f"t{number}") for number in range(200)])
    made = [name for name, result in results.items() if not isinstance(result, KafkaError)]
    assert set(made) == set(node.image.topics)
    assert (len(made), results["t199"].code) == (128, ErrorCode.kafka_storage_error)


async def test_whoever_goes_away_leaves_nothing_half_done(node, shared):
    creating = asyncio.create_task(node.topics.create_topics([NewTopic("t")]))
    await asyncio.sleep(0)
    creating.cancel()
    await turns()
    assert creating.cancelled()
    assert "t" in node.image.topics
    assert len(node.told.deltas) == 1


async def test_validation_alone_writes_nothing(node, shared):
    assert (await node.topics.create_topics([NewTopic("t")], validate_only=True))["t"].name == "t"
    operation = ConfigOperation("max.connections", OperationKind.SET, "7")
    await node.configs.alter_configs({CLUSTER: [operation]}, validate_only=True)
    assert await revision_of(shared) == 1


async def test_a_setting_for_the_cluster_is_in_force_on_every_node(node, other):
    operation = ConfigOperation("max.connections", OperationKind.SET, "7")
    await node.configs.alter_configs({CLUSTER: [operation]})
    await other.caught_up()
    assert (node.config.value.max_connections, other.config.value.max_connections) == (7, 7)
    alone = ConfigResource(ResourceKind.BROKER, "2")
    await node.configs.replace_configs({alone: {"max.connections": "8"}})
    await other.caught_up()
    assert (node.config.value.max_connections, other.config.value.max_connections) == (7, 8)
    await node.configs.replace_configs({alone: {}, CLUSTER: {}})
    await other.caught_up()
    assert node.config.value.max_connections == other.config.value.max_connections
    assert other.config.layers.dynamic == {}


async def test_what_contradicts_the_settings_of_this_start_has_no_effect(node, shared, caplog):
    value = model.encode_configs({"max.connections": "-7"})
    await shared.transaction(
        commit_module.Transaction(writes=(commit_module.Put(model.BROKER_CONFIGS, value),))
    )
    before = node.config.value
    await node.caught_up()
    assert node.config.value is before
    assert "has no effect" in caplog.text


async def test_the_offsets_topic_is_made_once(node, other):
    await asyncio.gather(*(each.internal_topics.ensure_topic("__consumer_offsets") for each in (node, other)))
    revision = node.image.revision
    await node.internal_topics.ensure_topic("__consumer_offsets")
    topic = node.image.topics["__consumer_offsets"]
    assert (len(topic.partitions), topic.configs["cleanup.policy"]) == (50, "compact")
    assert node.image.revision == revision


async def test_producer_ids_are_never_given_twice(node, other, shared):
    lost = [Lost.ANSWER, Lost.REQUEST, Lost.DELAYED]
    given = set()
    for each, what in zip([node, other, node, other, node, other], lost * 2, strict=True):
        each.store.lose(what)
        taken = await asyncio.gather(*(each.producer_ids.next_producer_id() for _ in range(700)))
        assert given.isdisjoint(taken)
        given.update(taken)
        assert not any(outcome.committed for outcome in await each.store.deliver())
    assert len(given) == 4200
