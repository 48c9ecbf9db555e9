"""What a store promises, held against each of them."""

import asyncio
from contextlib import aclosing

import pytest

from ottla.metadata.transaction import Compare, Delete, DeletePrefix, Event, KeyValue, Put
from ottla.store.interface import CompactedError, LeaseNotFoundError, Revision, read_all, read_key

from .conftest import transaction


async def write(store, *writes, compares=()):
    return await store.transaction(transaction(*writes, compares=compares))


async def keys(store, prefix=""):
    return [entry.key for entry in (await store.range(prefix)).entries]


async def seen(store, prefix, from_revision, until):
    """What a watch gives until everything up to revision `until` has been seen, without marks of progress."""
    revisions = []
    async with aclosing(store.watch(prefix, from_revision)) as watch:
        async for revision in watch:
            if revision.events:
                revisions.append(revision)
            if revision.number >= until:
                return revisions
    raise AssertionError("the watch has ended")


async def test_a_transaction_is_one_revision(store):
    assert await write(store, Put("/a", b"1"), Put("/b", b"2")) == (True, 1)
    assert await write(store, Put("/a", b"3")) == (True, 2)
    assert await store.range("/") == (
        2,
        [KeyValue("/a", b"3", create_revision=1, mod_revision=2), KeyValue("/b", b"2", 1, 1)],
        False,
    )


async def test_what_changes_nothing_is_no_revision(store):
    await write(store, Put("/a", b"1"))
    assert await write(store, Delete("/none")) == (True, 1)
    assert await write(store) == (True, 1)


async def test_a_failed_comparison_writes_nothing(store):
    await write(store, Put("/a", b"1"))
    assert await write(store, Put("/b", b"2"), compares=[Compare.absent("/a")]) == (False, 1)
    assert await write(store, Put("/b", b"2"), compares=[Compare.unchanged("/a", 9)]) == (False, 1)
    assert await keys(store) == ["/a"]


async def test_comparisons_that_hold_let_it_through(store):
    await write(store, Put("/a", b"1"))
    holding = [Compare.unchanged("/a", 1), Compare.absent("/b")]
    assert await write(store, Put("/b", b"2"), compares=holding) == (True, 2)


async def test_of_transactions_at_once_one_wins(store):
    taking = [write(store, Put("/a", bytes([n])), compares=[Compare.absent("/a")]) for n in range(5)]
    outcomes = await asyncio.gather(*taking)
    assert sorted(outcomes) == [(False, 1)] * 4 + [(True, 1)]
    winner = next(number for number, outcome in enumerate(outcomes) if outcome.committed)
    assert (await read_key(store, "/a"))[1].value == bytes([winner])


async def test_a_deleted_key_begins_anew(store):
    await write(store, Put("/a", b"1"))
    await write(store, Delete("/a"))
    assert await keys(store) == []
    await write(store, Put("/a", b"2"), compares=[Compare.absent("/a")])
    assert (await store.range("/")).entries == [KeyValue("/a", b"2", 3, 3)]


async def test_all_keys_under_a_prefix_are_deleted_at_once(store):
    await write(store, Put("/a", b""), Put("/a/1", b""), Put("/a/2", b""), Put("/a0", b""), Put("/b", b""))
    assert await write(store, DeletePrefix("/a/"), Delete("/b"), Put("/c", b"")) == (True, 2)
    assert await keys(store) == ["/a", "/a0", "/c"]
    (revision,) = await seen(store, "", 2, until=2)
    assert [event.key for event in revision.events if event.value is None] == ["/a/1", "/a/2", "/b"]
    assert await write(store, DeletePrefix("/a/")) == (True, 2)


async def test_past_revisions_can_be_read(store):
    await write(store, Put("/a", b"1"), Put("/b", b"1"))
    await write(store, Put("/a", b"2"), Delete("/b"))
    await write(store, Put("/b", b"3"), Put("/c", b"3"))
    assert (await store.range("/", revision=0)).entries == []
    first = await store.range("/", revision=1)
    assert [(entry.key, entry.value) for entry in first.entries] == [("/a", b"1"), ("/b", b"1")]
    assert await store.range("/", revision=2) == (2, [KeyValue("/a", b"2", 1, 2)], False)
    assert [entry.key for entry in (await store.range("/", revision=3)).entries] == ["/a", "/b", "/c"]
    with pytest.raises(ValueError, match="yet to come"):
        await store.range("/", revision=4)


async def test_pages_are_of_one_revision(store):
    await write(store, *(Put(f"/a/{number}", b"") for number in range(5)), Put("/b", b""))
    page = await store.range("/a/", limit=2)
    assert ([entry.key for entry in page.entries], page.more) == (["/a/0", "/a/1"], True)
    await write(store, Delete("/a/2"), Put("/a/11", b""), Put("/a/3", b"new"))
    page = await store.range("/a/", revision=page.revision, limit=2, after="/a/1")
    assert page.revision == 1
    assert [(entry.key, entry.value) for entry in page.entries] == [("/a/2", b""), ("/a/3", b"")]
    page = await store.range("/a/", revision=page.revision, limit=2, after="/a/3")
    assert ([entry.key for entry in page.entries], page.more) == (["/a/4"], False)
    assert (await store.range("/a/", limit=5)).more is False
    assert await read_all(store, "/a/", page_entries=2) == await store.range("/a/")
    assert await read_all(store, "/none", page_entries=2) == (2, [], False)


async def test_one_key_is_read_among_those_that_begin_like_it(store):
    await write(store, Put("/a/1", b""), Put("/ab", b""))
    assert await read_key(store, "/a") == (1, None)
    await write(store, Put("/a", b"2"))
    assert await read_key(store, "/a") == (2, KeyValue("/a", b"2", 2, 2))


async def test_prefixes_end_where_they_should(store):
    names = [
        "/a",
        "/a/",
        "/a/\U0010ffff",
        "/a/z",
        "/a0",
        "/b",
        "/\U0010ffff",
        "/\U0010ffffx",
        "/\ud7ff",
        "/\ue000",
    ]
    await write(store, *(Put(name, b"") for name in names))
    for prefix in ("", "/", "/a/", "/a", "/\U0010ffff", "/\ud7ff", "/none"):
        assert await keys(store, prefix) == sorted(n for n in names if n.startswith(prefix)), prefix


async def test_a_watch_gives_whole_revisions_once_in_order(store):
    await write(store, Put("/t/a", b"1"))
    watching = asyncio.create_task(seen(store, "/t/", 1, until=4))
    await write(store, Put("/t/b", b"2"), Put("/other", b"2"), Delete("/t/a"))
    await write(store, Put("/other", b"3"))
    await write(store, Put("/t/c", b"4"))
    assert await watching == [
        Revision(1, (Event(1, "/t/a", b"1"),)),
        Revision(2, (Event(2, "/t/a", None), Event(2, "/t/b", b"2"))),
        Revision(4, (Event(4, "/t/c", b"4"),)),
    ]


async def test_a_watch_waits_for_what_is_to_come(store):
    watching = asyncio.create_task(seen(store, "/", 2, until=2))
    await write(store, Put("/a", b"1"))
    for _ in range(3):
        await store.range("")
    assert not watching.done()
    await write(store, Put("/a", b"2"))
    assert await watching == [Revision(2, (Event(2, "/a", b"2"),))]


async def test_whoever_goes_away_leaves_a_whole_change_that_is_told(store):
    watching = asyncio.create_task(seen(store, "", 1, until=1))
    writing = asyncio.create_task(write(store, Put("/a", b"1"), Put("/b", b"1")))
    await asyncio.sleep(0)
    writing.cancel()
    assert await asyncio.wait_for(watching, 10) == [Revision(1, (Event(1, "/a", b"1"), Event(1, "/b", b"1")))]


async def test_several_watch_at_their_own_pace(store):
    for number in range(3):
        await write(store, Put("/a", bytes([number])))
    async with aclosing(store.watch("", 1)) as slow:
        assert (await anext(slow)).number == 1
        await write(store, Put("/b", b""))
        assert [revision.number for revision in await seen(store, "", 2, until=4)] == [2, 3, 4]
        assert [(await anext(slow)).number for _ in range(3)] == [2, 3, 4]


async def test_what_is_watched_can_be_told_when_nothing_of_it_changes(store):
    """The mark of progress: a watcher that asks for a revision learns that it has been reached."""
    await write(store, Put("/other", b""))
    assert await asyncio.wait_for(seen(store, "/t/", 1, until=1), 10) == []


async def test_compaction_drops_what_came_before(store):
    for number in range(1, 6):
        await write(store, Put("/a", bytes([number])), Put(f"/b{number}", b""))
    await write(store, Delete("/b1"))
    await store.compact(4)
    with pytest.raises(CompactedError):
        await store.range("/", revision=3)
    with pytest.raises(CompactedError):
        await seen(store, "/", 3, until=6)
    assert (await store.range("/a", revision=4)).entries == [KeyValue("/a", b"\x04", 1, 4)]
    found = (await store.range("/b", revision=4)).entries
    assert [entry.key for entry in found] == ["/b1", "/b2", "/b3", "/b4"]
    assert [revision.number for revision in await seen(store, "/a", 4, until=6)] == [4, 5]
    await store.compact(2)  # already gone
    assert (await store.range("/", revision=4)).revision == 4


async def test_a_watch_that_falls_behind_compaction_says_so(store, subject):
    await write(store, Put("/a", b"1"))
    async with aclosing(store.watch("/", 1)) as watch:
        await anext(watch)
        for number in range(3):
            await write(store, Put("/a", bytes([number])))
        await store.compact(4)
        if subject.reads_ahead:
            assert [(await anext(watch)).number for _ in range(3)] == [2, 3, 4]
            return
        with pytest.raises(CompactedError):
            await anext(watch)


async def test_a_lease_takes_its_keys_with_it(store, subject):
    lease = await store.grant_lease(subject.ttl_ms)
    other = await store.grant_lease(60_000)
    await write(store, Put("/brokers/1", b"", lease), Put("/brokers/2", b"", other), Put("/kept", b""))
    assert (await store.range("/brokers/1")).entries == [KeyValue("/brokers/1", b"", 1, 1, lease)]
    assert await seen(store, "/brokers/", 2, until=2) == [Revision(2, (Event(2, "/brokers/1", None),))]
    assert await keys(store) == ["/brokers/2", "/kept"]
    with pytest.raises(LeaseNotFoundError):
        await store.keep_lease_alive(lease)
    await store.revoke_lease(other)
    assert await keys(store) == ["/kept"]


async def test_a_lease_that_is_kept_alive_goes_on(store, subject):
    ends = await store.grant_lease(subject.ttl_ms)
    kept = await store.grant_lease(60_000)
    await write(store, Put("/ends", b"", ends), Put("/kept", b"", kept))
    await store.keep_lease_alive(kept)
    await seen(store, "/ends", 2, until=2)
    assert await keys(store) == ["/kept"]


async def test_a_put_without_the_lease_frees_the_key(store):
    lease = await store.grant_lease(60_000)
    await write(store, Put("/a", b"", lease))
    await write(store, Put("/a", b""))
    await store.revoke_lease(lease)
    assert await keys(store) == ["/a"]


async def test_a_lease_that_ends_meanwhile_leaves_no_key(store):
    lease = await store.grant_lease(60_000)
    writing = asyncio.create_task(write(store, Put("/a", b"", lease)))
    revoking = asyncio.create_task(store.revoke_lease(lease))
    await asyncio.gather(writing, revoking, return_exceptions=True)
    assert await keys(store) == []


async def test_ended_leases_are_unknown(store):
    lease = await store.grant_lease(60_000)
    await store.revoke_lease(lease)
    for using in (
        store.keep_lease_alive(lease),
        store.revoke_lease(lease),
        write(store, Put("/a", b"", lease)),
        store.keep_lease_alive(987_654),
    ):
        with pytest.raises(LeaseNotFoundError):
            await using
    with pytest.raises(ValueError, match="positive ttl"):
        await store.grant_lease(0)
    assert await store.range("") == (0, [], False)
