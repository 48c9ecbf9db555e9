"""What is durable, and what is particular to a file."""

import asyncio
import sqlite3
import threading

import pytest

from ottla.metadata.transaction import Event, KeyValue, MetadataFormatError, Put
from ottla.store.interface import CompactedError, StoreError
from ottla.store.sqlite import SqliteEngine, SqliteStore

from .conftest import monotonic_ms, transaction

FORMAT_1 = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL, version INTEGER NOT NULL, lease_id INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE history (
    revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB,
    old_value BLOB, old_create_revision INTEGER, old_mod_revision INTEGER, old_version INTEGER,
    old_lease_id INTEGER, PRIMARY KEY (revision, key)
) WITHOUT ROWID;
CREATE TABLE revisions (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO entries VALUES ('/a', X'32', 1, 2, 2, 0);
INSERT INTO history VALUES (1, '/a', X'31', NULL, NULL, NULL, NULL, NULL),
    (2, '/a', X'32', X'31', 1, 1, 1, 0);
INSERT INTO revisions VALUES ('present', 2), ('oldest', 0);
PRAGMA user_version = 1;
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "metadata.sqlite")


@pytest.fixture
def engine(path):
    opened = SqliteEngine(path)
    yield opened
    opened.close()


async def opened(path, executor):
    store = SqliteStore(path, executor, monotonic_ms)
    try:
        await store.open()
    except BaseException:
        await store.close()  # as a broker does whose start has failed
        raise
    return store


def test_it_opens_again_as_it_was(path):
    first = SqliteEngine(path)
    first.transaction(transaction(Put("/a", b"1")))
    first.transaction(transaction(Put("/a", b"2"), Put("/b", b"2")))
    first.compact(2)
    expected = first.range(""), first.events("", 2)
    first.close()
    second = SqliteEngine(path)
    assert (second.range(""), second.events("", 2)) == expected
    assert second.transaction(transaction(Put("/c", b"3"))) == (True, 3)
    with pytest.raises(CompactedError):
        second.events("", 1)
    second.close()


def test_each_transaction_is_synced(engine):
    assert engine._database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert engine._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_leased_keys_of_the_process_before_are_gone(path, executor):
    first = await opened(path, executor)
    lease = await first.grant_lease(60_000)
    await first.transaction(transaction(Put("/brokers/1", b"", lease), Put("/kept", b"")))
    await first.close()
    second = await opened(path, executor)
    assert [entry.key for entry in (await second.range("")).entries] == ["/kept"]
    async for revision in second.watch("", 2):
        assert revision == (2, (Event(2, "/brokers/1", None),))
        break
    await second.close()


async def test_a_cancelled_start_leaves_nothing_open(path, executor):
    store, go_on = SqliteStore(path, executor, monotonic_ms), threading.Event()
    executor.submit(go_on.wait, 60)
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    opened_later = store._opening
    go_on.set()
    await store.close()
    assert opening.cancelled()
    with pytest.raises(StoreError, match="closed"):
        opened_later.result().range("")


async def test_the_event_loop_goes_on_while_the_disk_works(path, executor):
    store = await opened(path, executor)
    busy = threading.Event()
    executor.submit(busy.wait, 60)
    writing = asyncio.create_task(store.transaction(transaction(Put("/a", b""))))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not writing.done()
    busy.set()
    assert await writing == (True, 1)
    await store.close()


def test_history_is_bounded(path):
    engine = SqliteEngine(path, history_revisions=10)
    for number in range(100):
        engine.transaction(transaction(Put("/a", str(number).encode())))
        oldest = next(revision for revision in range(number + 2) if _is_readable(engine, revision))
        assert min(10, number + 1) <= engine.revision - oldest <= 20
    engine.close()


def _is_readable(engine, revision):
    try:
        engine.events("", revision)
    except CompactedError:
        return False
    return True


def test_a_file_of_the_first_format_is_taken_over(path):
    database = sqlite3.connect(path)
    database.executescript(FORMAT_1)
    database.close()
    for _ in range(2):
        engine = SqliteEngine(path)
        assert engine.range("") == (2, [KeyValue("/a", b"2", 1, 2)], False)
        assert engine.range("", 1) == (1, [KeyValue("/a", b"1", 1, 1)], False)
        assert engine.events("", 1) == (2, [Event(1, "/a", b"1"), Event(2, "/a", b"2")])
        engine.close()


def test_a_file_of_another_version_is_refused(path):
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 77")
    database.close()
    with pytest.raises(MetadataFormatError, match="format 77"):
        SqliteEngine(path)


async def test_a_file_that_is_no_database_is_refused(tmp_path, path, executor):
    (tmp_path / "metadata.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        await opened(path, executor)


def test_a_full_disk_refuses_and_it_goes_on(engine):
    engine.transaction(transaction(Put("/a", b"1")))
    (pages,) = engine._database.execute("PRAGMA page_count").fetchone()
    engine._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"):
        engine.transaction(transaction(Put("/a", b"2"), Put("/big", bytes(100_000))))
    assert (engine.revision, [entry.value for entry in engine.range("").entries]) == (1, [b"1"])
    engine._database.execute("PRAGMA max_page_count = 100000")
    assert engine.transaction(transaction(Put("/big", bytes(100_000)))) == (True, 2)


async def test_keys_of_an_ended_lease_go_when_the_disk_takes_it_again(path, executor, monkeypatch):
    monkeypatch.setattr("ottla.store.local._RETRY_S", 0.01)
    store = await opened(path, executor)
    lease = await store.grant_lease(60_000)
    await store.transaction(transaction(Put("/brokers/1", b"", lease)))
    attempts = iter([StoreError("full"), StoreError("full")])
    delete = store._engine.delete_leased

    def delete_later(lease_id):
        for error in attempts:
            raise error
        delete(lease_id)

    store._engine.delete_leased = delete_later
    with pytest.raises(StoreError, match="full"):
        await store.revoke_lease(lease)
    async for revision in store.watch("", 2):
        assert revision.events == (Event(2, "/brokers/1", None),)
        break
    await store.close()
