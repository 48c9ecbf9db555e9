"""The faults are those that they are said to be."""

import asyncio
from contextlib import aclosing

import pytest

from ottla.metadata.transaction import Compare, Put
from ottla.store.faulty import FaultyStore, Lost
from ottla.store.interface import LeaseNotFoundError, OutcomeUnknownError, StoreError
from ottla.store.memory import MemoryStore

from .conftest import monotonic_ms, transaction


@pytest.fixture
async def shared():
    store = MemoryStore(monotonic_ms)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def store(shared):
    return FaultyStore(shared)


async def revision_of(store):
    return (await store.range("")).revision


@pytest.mark.parametrize(("lost", "revision"), [(Lost.ANSWER, 1), (Lost.REQUEST, 0), (Lost.DELAYED, 0)])
async def test_an_unknown_outcome_may_be_either(store, shared, lost, revision):
    store.lose(lost)
    with pytest.raises(OutcomeUnknownError):
        await store.transaction(transaction(Put("/a", b"")))
    assert await revision_of(shared) == revision
    assert (await store.transaction(transaction(Put("/b", b"")))).committed


async def test_a_delayed_transaction_comes_late(store, shared):
    store.lose(Lost.DELAYED)
    with pytest.raises(OutcomeUnknownError):
        await store.transaction(transaction(Put("/a", b"late"), compares=[Compare.absent("/a")]))
    assert (await store.transaction(transaction(Put("/a", b""), compares=[Compare.absent("/a")]))).committed
    assert await store.deliver() == [(False, 1)]
    assert await store.deliver() == []


async def test_a_cut_concerns_one_node(store, shared):
    store.cut()
    with pytest.raises(OutcomeUnknownError):
        await store.transaction(transaction(Put("/a", b"")))
    with pytest.raises(StoreError):
        await store.range("")
    with pytest.raises(StoreError):
        await store.keep_lease_alive(1)
    async with aclosing(store.watch("", 1)) as watch:
        await shared.transaction(transaction(Put("/b", b"")))
        waiting = asyncio.ensure_future(anext(watch))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        store.heal()
        assert (await waiting).events[0].key == "/b"


async def test_watches_break_and_miss_nothing_where_they_go_on(store, shared):
    async with aclosing(store.watch("", 1)) as watch:
        await shared.transaction(transaction(Put("/a", b"")))
        assert (await anext(watch)).number == 1
        store.break_watches()
        await shared.transaction(transaction(Put("/b", b"")))
        with pytest.raises(StoreError):
            await anext(watch)
    async with aclosing(store.watch("", 2)) as watch:
        assert (await anext(watch)).events[0].key == "/b"


async def test_a_lease_may_end_under_its_holder(store, shared):
    lease = await store.grant_lease(60_000)
    await store.transaction(transaction(Put("/a", b"", lease)))
    await shared.revoke_lease(lease)
    with pytest.raises(LeaseNotFoundError):
        await store.keep_lease_alive(lease)
    assert (await store.range("")).entries == []


async def test_delays_come_before_each_operation(shared):
    taken = []

    async def delay():
        taken.append(len(taken))

    store = FaultyStore(shared, delay)
    await store.transaction(transaction(Put("/a", b"")))
    await store.range("")
    async with aclosing(store.watch("", 1)) as watch:
        await anext(watch)
    assert taken == [0, 1, 2]
