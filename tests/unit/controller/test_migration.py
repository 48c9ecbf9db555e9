"""A single node's metadata in the store of a cluster, whatever becomes of the writes."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from ottla.controller.features import finalize_newest
from ottla.controller.migration import MigrationError, copy_metadata
from ottla.controller.registration import agree_on_cluster_id, register
from ottla.metadata import model
from ottla.metadata.image import image_at
from ottla.metadata.model import BrokerRegistration, Endpoint, PartitionState
from ottla.metadata.transaction import Delete, MetadataFormatError, Put, Transaction
from ottla.store.faulty import FaultyStore, Lost
from ottla.store.interface import Store, StoreError, read_all, read_key
from ottla.store.memory import MemoryStore

TOPICS = 300


async def memory() -> MemoryStore:
    store = MemoryStore(lambda: time.monotonic_ns() // 1_000_000)
    await store.open()
    return store


async def single_node() -> MemoryStore:
    store = await memory()
    await finalize_newest(store)
    await register(store, BrokerRegistration(1, {"PLAINTEXT": Endpoint("h", 9092)}))
    for number in range(TOPICS):
        state = model.initial_state((1,), (1,))
        moved = PartitionState((1,), (1,), 1, leader_epoch=number)
        topic = model.encode_topic(UUID(int=number + 1), [state, state])
        writes = (
            Put(model.topic_key(f"t{number}"), topic),
            Put(model.partition_key(f"t{number}", 1), model.encode_partition(moved)),
            Put(f"{model.TOPIC_CONFIGS}t{number}", model.encode_configs({"retention.ms": str(number)})),
        )
        await store.transaction(Transaction(writes=writes))
    await store.transaction(Transaction(writes=(Put(model.PRODUCER_IDS, model.encode_producer_ids(7_000)),)))
    return store


class Retired:
    """Notes that the source was given up."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def __call__(self, epoch: int) -> None:
        self.epochs.append(epoch)


async def copied(source: Store, target: Store) -> Retired:
    retired = Retired()
    await copy_metadata((await read_all(source)).entries, target, "cluster", "folder", retired)
    return retired


async def check_is_the_same(source: Store, target: Store) -> None:
    alone, page = await read_all(source), await read_all(target)
    before = image_at(alone.revision, alone.entries)
    after = image_at(page.revision, page.entries)
    assert len(after.topics) == TOPICS
    assert after.topics == before.topics
    assert after.features == before.features
    assert {entry.key for entry in page.entries if entry.key.startswith(model.TOPIC_CONFIGS)} == {
        f"{model.TOPIC_CONFIGS}t{number}" for number in range(TOPICS)
    }
    assert not after.brokers
    assert list(after.known_brokers) == [1]
    _, producer_ids = await read_key(target, model.PRODUCER_IDS)
    assert producer_ids is not None
    assert model.decode_producer_ids(producer_ids.value) == 7_000
    assert await agree_on_cluster_id(target, "another") == "cluster"


async def test_all_is_copied_but_who_lives() -> None:
    source, target = await single_node(), await memory()
    retired = await copied(source, target)
    await check_is_the_same(source, target)
    _, known = await read_key(target, model.known_broker_key(1))
    assert known is not None
    assert retired.epochs == [known.mod_revision]


@pytest.mark.parametrize("lost", list(Lost))
async def test_outcomes_that_are_not_known_change_nothing(lost: Lost) -> None:
    source, target = await single_node(), await memory()
    way = FaultyStore(target)
    for _ in range(6):
        way.lose(lost)
        way.lose(Lost.ANSWER)
    await copied(source, way)
    await way.deliver()
    await check_is_the_same(source, target)


async def test_half_a_copy_is_served_by_nobody_and_completed() -> None:
    """Broken off after each step, with changes of the node in between."""
    source, target = await single_node(), await memory()
    is_cut = True
    cut_after = 0
    while is_cut:
        cut_after += 1
        left = cut_after

        async def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise StoreError("the process is gone")

        way = FaultyStore(target, count)
        try:
            await copied(source, way)
            is_cut = False
        except StoreError:
            page = await read_all(target)
            if page.entries:
                with pytest.raises(MetadataFormatError, match="ottla cluster migrate"):
                    image_at(page.revision, page.entries)
                with pytest.raises(MigrationError, match="the metadata of another node"):
                    await copy_metadata(
                        (await read_all(source)).entries, target, "other", "of another folder", Retired()
                    )
        name = f"t{cut_after % TOPICS}"
        if is_cut:
            await source.transaction(Transaction(writes=(Delete(f"{model.GROUP_CONFIGS}{name}"),)))
            put = Put(f"{model.GROUP_CONFIGS}{name}x", model.encode_configs({"a": name}))
            await source.transaction(Transaction(writes=(put,)))
            if cut_after > 3:
                gone = Delete(f"{model.GROUP_CONFIGS}t{cut_after - 3}x")
                await source.transaction(Transaction(writes=(gone,)))
    assert cut_after > 5
    await check_is_the_same(source, target)
    before = (await read_all(source, model.GROUP_CONFIGS)).entries
    after = (await read_all(target, model.GROUP_CONFIGS)).entries
    assert [entry[:2] for entry in before] == [entry[:2] for entry in after]


async def test_a_store_with_metadata_is_left_alone() -> None:
    source, target = await single_node(), await memory()
    await finalize_newest(target)
    before = await read_all(target)
    with pytest.raises(MigrationError, match="there is metadata already"):
        await copied(source, target)
    assert await read_all(target) == before


async def test_a_broker_that_starts_first_is_not_written_over() -> None:
    """It comes between the look into the store and the first write."""
    source, target = await single_node(), await memory()

    class Late(FaultyStore):
        async def transaction(self, transaction):  # type: ignore[no-untyped-def]
            await finalize_newest(target)
            return await super().transaction(transaction)

    with pytest.raises(MigrationError, match="there is metadata already"):
        await copied(source, Late(target))
    assert [entry.key for entry in (await read_all(target)).entries] == [model.FEATURES]
