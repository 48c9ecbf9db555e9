import asyncio

import pytest

from ottla.controller import publisher as publisher_module
from ottla.metadata import model
from ottla.metadata.topics import NewTopic
from ottla.metadata.transaction import Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError

from .conftest import Node, Told, turns


async def test_what_another_node_commits_is_told_here(node, other):
    created = (await other.topics.create_topics([NewTopic("t")]))["t"]
    image = await node.caught_up()
    assert image.topics["t"] == created
    assert [delta.topics_created for delta in node.told.deltas] == [(created,)]
    assert node.image == other.image


async def test_a_change_is_answered_when_it_is_taken_over_here(shared):
    node, gate = Node(shared, 1), asyncio.Event()

    class Slow:
        async def on_metadata(self, delta, image):
            await gate.wait()

    await node.start(Slow())
    creating = asyncio.create_task(node.topics.create_topics([NewTopic("t")]))
    await turns()
    assert not creating.done()
    assert node.told.deltas == []
    gate.set()
    await creating
    assert len(node.told.deltas) == 1
    await node.publisher.stop()


async def test_deltas_come_one_by_one_in_order(shared):
    node, other = Node(shared, 1), Node(shared, 2)
    going, seen = [], []

    class Overlapping:
        async def on_metadata(self, delta, image):
            assert not going
            going.append(1)
            await turns(3)
            seen.append(image.revision)
            going.clear()

    await node.start(Overlapping())
    await other.start()
    await asyncio.gather(
        *(node.topics.create_topics([NewTopic(f"a{number}")]) for number in range(5)),
        *(other.topics.create_topics([NewTopic(f"b{number}")]) for number in range(5)),
    )
    await node.caught_up()
    assert seen == list(range(2, 12))
    for each in (node, other):
        await each.publisher.stop()


async def test_a_failing_subscriber_does_not_stop_the_others(shared, caplog):
    node = Node(shared, 1)

    class Broken:
        async def on_metadata(self, delta, image):
            raise RuntimeError("no")

    await node.start(Broken())
    assert "t" in await node.topics.create_topics([NewTopic("t")])
    await node.topics.create_topics([NewTopic("u")])
    assert len(node.told.deltas) == 2
    assert [record.message for record in caplog.records] == [f"Broken failed at revision {n}" for n in (2, 3)]
    await node.publisher.stop()


async def test_what_changes_nothing_of_the_image_is_not_told(node):
    await node.producer_ids.next_producer_id()
    await node.caught_up()
    assert node.told.deltas == []


async def test_history_that_is_gone_is_made_up_for(shared, node, other):
    await node.topics.create_topics([NewTopic("stays"), NewTopic("goes"), NewTopic("again")])
    before = node.image
    node.store.cut()
    await other.topics.delete_topics(["goes", "again"])
    await other.topics.create_topics([NewTopic("new"), NewTopic("again")])
    await shared.compact(other.image.revision)
    node.told.deltas.clear()
    await node.publisher.stop()  # the watch that was open had its revisions already
    node.store.heal()
    node.publisher.start([node.told])
    assert await node.caught_up() == other.image
    first, second = node.told.deltas  # nobody is told of a name's old and new topic at once
    assert first.topics_deleted == (before.topics["again"],)
    assert first.topics_created == ()
    assert {topic.name for topic in second.topics_deleted} == {"goes"}
    assert {topic.name for topic in second.topics_created} == {"new", "again"}
    await node.topics.create_topics([NewTopic("more")])
    assert len(node.told.deltas) == 3


async def test_history_that_is_gone_is_made_up_for_once_the_store_can_be_reached(monkeypatch, shared, other):
    monkeypatch.setattr(publisher_module, "_RETRY_S", 0.01)
    node = Node(shared, 1)
    await node.start()
    await node.publisher.stop()
    for name in ("new", "newer"):
        await other.topics.create_topics([NewTopic(name)])
    await shared.compact(other.image.revision)
    node.store.cut()
    node.publisher.start([node.told])
    await asyncio.sleep(0.05)
    node.store.heal()
    assert await node.caught_up() == other.image
    await node.publisher.stop()


async def test_a_watch_that_breaks_is_taken_up_again(monkeypatch, shared):
    monkeypatch.setattr(publisher_module, "_RETRY_S", 0.01)
    node = Node(shared, 1)
    watch, failures = node.store.watch, iter([publisher_module.StoreError("broken")])

    async def breaking(prefix, from_revision):
        async for revision in watch(prefix, from_revision):
            yield revision
            for error in failures:
                raise error

    node.store.watch = breaking
    await node.start()
    for name in ("a", "b", "c"):
        await node.topics.create_topics([NewTopic(name)])
    assert [delta.topics_created[0].name for delta in node.told.deltas] == ["a", "b", "c"]
    await node.publisher.stop()


async def test_metadata_that_cannot_be_read_ends_it(shared, node):
    await shared.transaction(Transaction(writes=(Put("/of/another/version", b""),)))
    with pytest.raises(KafkaError, match="cannot follow the metadata") as refused:
        await node.topics.create_topics([NewTopic("t")])
    assert refused.value.code is ErrorCode.unknown_server_error


async def test_a_change_that_takes_too_long_here_is_said_to(monkeypatch, shared):
    monkeypatch.setattr(publisher_module, "_REACH_TIMEOUT_S", 0.01)
    node, gate = Node(shared, 1), asyncio.Event()

    class Slow:
        async def on_metadata(self, delta, image):
            await gate.wait()

    await node.start(Slow())
    with pytest.raises(KafkaError) as refused:
        await node.topics.create_topics([NewTopic("t")])
    assert refused.value.code is ErrorCode.request_timed_out
    gate.set()
    await node.publisher.stop()


async def test_nothing_is_told_between_two_deltas(node):
    async with node.publisher.paused() as image:
        creating = asyncio.create_task(node.topics.create_topics([NewTopic("t")]))
        await turns()
        assert node.image is image
        assert not creating.done()
    await creating
    assert "t" in node.image.topics


async def test_a_stop_lets_the_delta_under_way_be_taken_over(shared):
    node, gate, done = Node(shared, 1), asyncio.Event(), Told()

    class Slow:
        async def on_metadata(self, delta, image):
            await gate.wait()

    await node.start(Slow(), done)
    creating = asyncio.create_task(node.topics.create_topics([NewTopic("t")]))
    await turns()
    stopping = asyncio.create_task(node.publisher.stop())
    await turns()
    gate.set()
    await stopping
    await creating
    assert len(done.deltas) == 1
    assert model.topic_key("t") in [entry.key for entry in (await shared.range("/topics/")).entries]
