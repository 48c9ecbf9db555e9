"""Both stores by the same tests, and held against each other."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.metadata.memory import MemoryStore
from ottla.metadata.sqlite import SqliteStore
from ottla.metadata.store import (
    CompactedError,
    Compare,
    Delete,
    Event,
    Field,
    KeyValue,
    LeaseNotFoundError,
    MetadataFormatError,
    Put,
    StoreError,
    Transaction,
    prefix_end,
)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    opened = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "metadata.sqlite")
    yield opened
    opened.close()


def write(store, *writes, compares=()):
    return store.transaction(Transaction(tuple(compares), tuple(writes)))


def test_a_transaction_is_one_revision(store):
    assert write(store, Put("/a", b"1"), Put("/b", b"2")) == (True, 1)
    assert write(store, Put("/a", b"3")) == (True, 2)
    assert store.get_prefix("/").entries == [
        KeyValue("/a", b"3", create_revision=1, mod_revision=2, version=2),
        KeyValue("/b", b"2", create_revision=1, mod_revision=1, version=1),
    ]


def test_what_changes_nothing_is_no_revision(store):
    write(store, Put("/a", b"1"))
    assert write(store, Delete("/none")) == (True, 1)
    assert write(store) == (True, 1)


def test_a_failed_comparison_writes_nothing(store):
    write(store, Put("/a", b"1"))
    assert write(store, Put("/b", b"2"), compares=[Compare.absent("/a")]) == (False, 1)
    assert write(store, Put("/b", b"2"), compares=[Compare.unchanged("/a", 9)]) == (False, 1)
    assert [entry.key for entry in store.get_prefix("").entries] == ["/a"]


def test_comparisons_that_hold_let_it_through(store):
    write(store, Put("/a", b"1"))
    holding = [Compare.unchanged("/a", 1), Compare.absent("/b"), Compare("/a", Field.VERSION, 1)]
    assert write(store, Put("/b", b"2"), compares=holding) == (True, 2)


def test_a_deleted_key_begins_anew(store):
    write(store, Put("/a", b"1"))
    write(store, Delete("/a"))
    assert store.get_prefix("/").entries == []
    write(store, Put("/a", b"2"), compares=[Compare.absent("/a")])
    assert store.get_prefix("/").entries == [KeyValue("/a", b"2", 3, 3, 1)]


def test_a_key_may_be_written_once_in_a_transaction():
    with pytest.raises(ValueError, match="once only"):
        Transaction(writes=(Put("/a", b"1"), Delete("/a")))


def test_past_revisions_can_be_read(store):
    write(store, Put("/a", b"1"), Put("/b", b"1"))
    write(store, Put("/a", b"2"), Delete("/b"))
    write(store, Put("/b", b"3"), Put("/c", b"3"))
    assert store.get_prefix("/", 0).entries == []
    assert [(entry.key, entry.value) for entry in store.get_prefix("/", 1).entries] == [
        ("/a", b"1"),
        ("/b", b"1"),
    ]
    assert store.get_prefix("/", 2).entries == [KeyValue("/a", b"2", 1, 2, 2)]
    assert [entry.key for entry in store.get_prefix("/", 3).entries] == ["/a", "/b", "/c"]
    with pytest.raises(ValueError, match="yet to come"):
        store.get_prefix("/", 4)


def test_prefixes_end_where_they_should(store):
    keys = [
        "/a",
        "/a/",
        "/a/\U0010ffff",
        "/a/z",
        "/a0",
        "/b",
        "\U0010ffff",
        "\U0010ffffx",
        "\ud7ff",
        "\ue000",
    ]
    write(store, *(Put(key, b"") for key in keys))
    for prefix in ("", "/a/", "/a", "\U0010ffff", "\ud7ff", "/none"):
        found = [entry.key for entry in store.get_prefix(prefix).entries]
        assert found == sorted(key for key in keys if key.startswith(prefix)), prefix


def test_prefix_end_is_the_least_upper_bound():
    assert prefix_end("/a/") == "/a0"
    assert prefix_end("a\U0010ffff") == "b"
    assert prefix_end("\ud7ff") == "\ue000"
    assert prefix_end("") is None
    assert prefix_end("\U0010ffff") is None


def test_a_watch_gives_each_change_once_in_order(store):
    write(store, Put("/t/a", b"1"))
    woken = []
    watch = store.watch("/t/", 1, lambda: woken.append(store.revision))
    write(store, Put("/t/b", b"2"), Put("/other", b"2"), Delete("/t/a"))
    assert watch.poll() == [Event(1, "/t/a", b"1"), Event(2, "/t/a", None), Event(2, "/t/b", b"2")]
    assert watch.poll() == []
    write(store, Put("/other", b"3"))
    assert watch.poll() == []
    write(store, Put("/t/c", b"4"))
    assert watch.poll() == [Event(4, "/t/c", b"4")]
    assert woken == [2, 3, 4]
    watch.cancel()
    write(store, Put("/t/d", b"5"))
    assert woken == [2, 3, 4]


def test_a_watch_may_begin_in_the_future(store):
    watch = store.watch("/", 2)
    write(store, Put("/a", b"1"))
    assert watch.poll() == []
    write(store, Put("/a", b"2"))
    assert watch.poll() == [Event(2, "/a", b"2")]


def test_compaction_drops_what_came_before(store):
    for number in range(1, 6):
        write(store, Put("/a", bytes([number])), Put(f"/b{number}", b""))
    write(store, Delete("/b1"))
    watch = store.watch("/", 2)
    store.compact(4)
    with pytest.raises(CompactedError):
        store.get_prefix("/", 3)
    with pytest.raises(CompactedError):
        store.events("/", 3)
    with pytest.raises(CompactedError):
        watch.poll()
    assert store.get_prefix("/a", 4).entries == [KeyValue("/a", b"\x04", 1, 4, 4)]
    assert [entry.key for entry in store.get_prefix("/b", 4).entries] == ["/b1", "/b2", "/b3", "/b4"]
    assert [event.revision for event in store.events("/a", 4)] == [4, 5]
    store.compact(2)  # already gone
    store.compact(99)  # not there yet
    assert store.get_prefix("/", 4).revision == 4


def test_a_lease_takes_its_keys_with_it(store):
    lease = store.lease_grant(100, now_ms=1_000)
    other = store.lease_grant(500, now_ms=1_000)
    write(store, Put("/brokers/1", b"", lease), Put("/brokers/2", b"", other), Put("/kept", b""))
    assert store.expire_leases(1_099) == []
    store.lease_keepalive(lease, 1_050)
    assert store.expire_leases(1_149) == []
    assert store.expire_leases(1_150) == [lease]
    assert [entry.key for entry in store.get_prefix("/").entries] == ["/brokers/2", "/kept"]
    assert store.events("/brokers/", 2) == [Event(2, "/brokers/1", None)]
    store.lease_revoke(other)
    assert [entry.key for entry in store.get_prefix("/").entries] == ["/kept"]


def test_a_put_without_the_lease_frees_the_key(store):
    lease = store.lease_grant(100, now_ms=0)
    write(store, Put("/a", b"", lease))
    write(store, Put("/a", b""))
    store.lease_revoke(lease)
    assert [entry.key for entry in store.get_prefix("/").entries] == ["/a"]


def test_ended_leases_are_unknown(store):
    lease = store.lease_grant(100, now_ms=0)
    store.lease_revoke(lease)
    with pytest.raises(LeaseNotFoundError):
        store.lease_keepalive(lease, 1)
    with pytest.raises(LeaseNotFoundError):
        store.lease_revoke(lease)
    with pytest.raises(LeaseNotFoundError):
        write(store, Put("/a", b"", lease))
    with pytest.raises(ValueError, match="positive ttl"):
        store.lease_grant(0, now_ms=0)
    assert store.revision == 0


KEYS = st.sampled_from(["/a", "/a/1", "/b", "/b/1", "/c"])
WRITES = st.lists(
    st.one_of(
        st.builds(Put, KEYS, st.binary(max_size=2), st.sampled_from([0, 0, 1, 2])), st.builds(Delete, KEYS)
    ),
    max_size=4,
    unique_by=lambda each: each.key,
)
COMPARES = st.lists(st.builds(Compare, KEYS, st.sampled_from(Field), st.integers(0, 4)), max_size=1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), COMPARES, WRITES),
        st.tuples(st.just("write"), st.just([]), WRITES),
        st.tuples(st.just("grant"), st.integers(1, 5)),
        st.tuples(st.just("keepalive"), st.integers(1, 3)),
        st.tuples(st.just("revoke"), st.integers(1, 3)),
        st.tuples(st.just("expire")),
        st.tuples(st.just("compact"), st.integers(0, 8)),
        st.tuples(st.just("events"), st.sampled_from(["", "/a", "/b/"]), st.integers(0, 8)),
        st.tuples(st.just("get"), st.sampled_from(["", "/a", "/b/"]), st.integers(0, 8)),
    ),
    max_size=25,
)


def perform(store, step, now_ms):
    """The step's outcome, an error by its type."""
    try:
        match step:
            case ("write", compares, writes):
                return write(store, *writes, compares=compares)
            case ("grant", ttl_ms):
                return store.lease_grant(ttl_ms, now_ms)
            case ("keepalive", lease):
                return store.lease_keepalive(lease, now_ms)
            case ("revoke", lease):
                return store.lease_revoke(lease)
            case ("expire",):
                return store.expire_leases(now_ms)
            case ("compact", revision):
                return store.compact(revision)
            case ("events", prefix, revision):
                return store.events(prefix, revision)
            case ("get", prefix, revision):
                return store.get_prefix(prefix, revision)
    except (LookupError, ValueError) as error:
        return type(error)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_sqlite_behaves_as_the_model(steps):
    model, durable = MemoryStore(), SqliteStore(":memory:")
    try:
        for now_ms, step in enumerate(steps):
            assert perform(durable, step, now_ms) == perform(model, step, now_ms), step
            assert durable.get_prefix("") == model.get_prefix("")
            assert durable.revision == model.revision
    finally:
        durable.close()


def test_sqlite_opens_again_as_it_was(tmp_path):
    path = tmp_path / "metadata.sqlite"
    first = SqliteStore(path)
    write(first, Put("/a", b"1"))
    write(first, Put("/a", b"2"), Put("/b", b"2"))
    first.compact(2)
    expected = first.get_prefix(""), first.events("", 2)
    first.close()
    second = SqliteStore(path)
    assert (second.get_prefix(""), second.events("", 2)) == expected
    assert write(second, Put("/c", b"3")) == (True, 3)
    with pytest.raises(CompactedError):
        second.events("", 1)
    second.close()


def test_sqlite_syncs_each_transaction(tmp_path):
    store = SqliteStore(tmp_path / "metadata.sqlite")
    assert store._database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert store._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_sqlite_forgets_leased_keys_of_the_process_before(tmp_path):
    path = tmp_path / "metadata.sqlite"
    first = SqliteStore(path)
    write(first, Put("/brokers/1", b"", first.lease_grant(1000, now_ms=0)), Put("/kept", b""))
    first.close()
    second = SqliteStore(path)
    assert [entry.key for entry in second.get_prefix("").entries] == ["/kept"]
    assert second.events("", 2) == [Event(2, "/brokers/1", None)]
    second.close()


def test_sqlite_keeps_a_bounded_history(tmp_path):
    store = SqliteStore(tmp_path / "metadata.sqlite", history_revisions=10)
    for number in range(100):
        write(store, Put("/a", str(number).encode()))
        held = store.revision - next(
            revision for revision in range(store.revision + 1) if _is_readable(store, revision)
        )
        assert min(10, number + 1) <= held <= 20
    store.close()


def _is_readable(store, revision):
    try:
        store.events("", revision)
    except CompactedError:
        return False
    return True


def test_sqlite_refuses_a_file_of_another_version(tmp_path):
    path = tmp_path / "metadata.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 77")
    database.close()
    with pytest.raises(MetadataFormatError, match="format 77"):
        SqliteStore(path)


def test_sqlite_refuses_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "metadata.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore(path)


def test_sqlite_on_a_full_disk_refuses_and_goes_on(tmp_path):
    store = SqliteStore(tmp_path / "metadata.sqlite")
    write(store, Put("/a", b"1"))
    (pages,) = store._database.execute("PRAGMA page_count").fetchone()
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"):
        write(store, Put("/a", b"2"), Put("/big", bytes(100_000)))
    assert (store.revision, [entry.value for entry in store.get_prefix("").entries]) == (1, [b"1"])
    store._database.execute("PRAGMA max_page_count = 100000")
    assert write(store, Put("/big", bytes(100_000))) == (True, 2)
    store.close()
