"""Bytes of every kind are held by the same tests; what is on disk survives a kill as of its last commit."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.streams.state.context import FakeTask

from ottla.streams.errors import StateStoreError
from ottla.streams.state.cache import CacheBudget, CachedBytes
from ottla.streams.state.lmdb import LmdbBytes
from ottla.streams.state.ordered_bytes import MemoryBytes, OrderedBytes
from ottla.streams.state.rocksdb import RocksBytes

Open = Callable[[Path], OrderedBytes]
ON_DISK: dict[str, Open] = {"lmdb": LmdbBytes, "rocksdb": RocksBytes}
KINDS: dict[str, Open] = {
    "memory": lambda _: MemoryBytes(),
    "cached": lambda _: CachedBytes(MemoryBytes(), CacheBudget(700), FakeTask()),
    **ON_DISK,
}
KEYS = st.binary(min_size=1, max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.none() | st.binary(max_size=3)),
        st.tuples(st.just("many"), KEYS, KEYS),
        st.tuples(st.just("drop"), KEYS, st.none()),
        st.tuples(st.just("commit"), st.none(), st.none()),
        st.tuples(st.just("scan"), KEYS, KEYS),
    ),
    max_size=40,
)


@pytest.fixture(params=KINDS)
def open_bytes(request: pytest.FixtureRequest) -> Open:
    return KINDS[request.param]


@pytest.fixture(params=ON_DISK)
def open_on_disk(request: pytest.FixtureRequest) -> Open:
    return ON_DISK[request.param]


@given(steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_are_a_sorted_dict(
    open_bytes: Open, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes, bytes]]
) -> None:
    store = open_bytes(tmp_path_factory.mktemp("state") / "store")
    model: dict[bytes, bytes] = {}
    for number, (step, key, value) in enumerate(steps):
        if step == "put":
            store.put(key, value)
            model.pop(key, None)
            if value is not None:
                model[key] = value
        elif step == "many":
            store.put_many([(key, b"1"), (value, None), (key + value, b"2")])
            model[key] = b"1"
            model.pop(value, None)
            model[key + value] = b"2"
        elif step == "drop":
            store.drop_below(key)
            model = {k: v for k, v in model.items() if k >= key}
        elif step == "commit":
            store.commit(number)
            assert store.committed_offset() == number
        else:
            inside = sorted((k, v) for k, v in model.items() if key <= k < value)
            assert list(store.scan(key, value)) == inside
            assert list(store.scan(key, value, reverse=True)) == inside[::-1]
        assert store.get_many([b"a", b"\0", b"\xff"]) == [model.get(k) for k in (b"a", b"\0", b"\xff")]
    assert list(store.scan(b"", None)) == sorted(model.items())
    assert list(store.scan(b"", None, reverse=True)) == sorted(model.items(), reverse=True)
    assert [store.get(key) for key in model] == list(model.values())
    store.close()


def test_a_scan_of_many_goes_on_while_the_store_is_written(open_bytes: Open, tmp_path: Path) -> None:
    store = open_bytes(tmp_path / "store")
    keys = [f"{number:05}".encode() for number in range(3_000)]
    store.put_many((key, b"v") for key in keys)
    seen = []
    for key, _ in store.scan(b"", None):
        seen.append(key)
        store.put(key, None)
        store.put(b"!", b"behind")
    assert seen == keys
    assert list(store.scan(b"", None)) == [(b"!", b"behind")]
    store.close()


def test_what_was_committed_is_there_again(open_on_disk: Open, tmp_path: Path) -> None:
    store = open_on_disk(tmp_path / "a" / "store")
    assert store.committed_offset() is None
    store.put(b"k", b"v")
    store.commit(7)
    store.put(b"k", b"not committed")
    store.put(b"l", b"not committed")
    store.close()
    store = open_on_disk(tmp_path / "a" / "store")
    assert store.persistent
    assert list(store.scan(b"", None)) == [(b"k", b"v")]
    assert store.committed_offset() == 7
    store.commit(None)
    assert store.committed_offset() == 7
    store.close()


def test_a_killed_process_leaves_its_last_commit(open_on_disk: Open, tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=_write_and_die, args=(open_on_disk, tmp_path / "store")
    )
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    store = open_on_disk(tmp_path / "store")
    offset = store.committed_offset()
    assert offset == 9
    assert dict(store.scan(b"", None)) == {b"%d" % n: b"committed" for n in range(10)}
    store.close()


def _write_and_die(open_on_disk: Open, folder: Path) -> None:
    store = open_on_disk(folder)
    for number in range(10):
        store.put(b"%d" % number, b"committed")
        store.commit(number)
    store.put(b"11", b"not committed")
    os.kill(os.getpid(), signal.SIGKILL)


def test_one_opener_at_a_time(open_on_disk: Open, tmp_path: Path) -> None:
    store = open_on_disk(tmp_path / "store")
    with pytest.raises(StateStoreError, match="open"):
        open_on_disk(tmp_path / "store")
    store.close()


def test_a_place_that_cannot_be_written_is_said(open_on_disk: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateStoreError, match="cannot be opened"):
        open_on_disk(tmp_path / "file" / "store")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[LmdbBytes]:
    store = LmdbBytes(tmp_path / "store", map_bytes=1 << 20)
    yield store
    store.close()


def test_lmdb_says_what_is_too_long(opened: LmdbBytes) -> None:
    with pytest.raises(StateStoreError, match="keys of 1 to 511 bytes"):
        opened.put(b"k" * 512, b"v")


def test_lmdb_says_that_it_is_full(opened: LmdbBytes) -> None:
    with pytest.raises(StateStoreError, match="full"):
        opened.put_many((b"%d" % number, b"v" * 1_000) for number in range(2_000))


def test_lmdb_begins_anew_after_the_machine_went_down(tmp_path: Path) -> None:
    store = LmdbBytes(tmp_path / "store", boot_id="monday")
    store.put(b"k", b"v")
    store.commit(1)
    store.close()
    store = LmdbBytes(tmp_path / "store", boot_id="tuesday")
    assert store.get(b"k") == b"v"  # it was closed: all is on disk
    store.close()
    (tmp_path / "store" / "open").write_text("monday")
    store = LmdbBytes(tmp_path / "store", boot_id="tuesday")
    assert store.get(b"k") is None
    assert store.committed_offset() is None
    store.close()


def test_lmdb_of_a_newer_format_is_not_opened(tmp_path: Path) -> None:
    LmdbBytes(tmp_path / "store").close()
    with lmdb.open(str(tmp_path / "store"), max_dbs=2) as env:
        about = env.open_db(b"about")
        with env.begin(about, write=True) as transaction:
            transaction.put(b"format", b"\x02")
    with pytest.raises(StateStoreError, match="of format 2, this version of Ottla reads 1"):
        LmdbBytes(tmp_path / "store")


def test_rocksdb_of_a_newer_format_is_not_opened(tmp_path: Path) -> None:
    store = RocksBytes(tmp_path / "store")
    store._db.put(b"\x00format", b"\x02")
    store.close()
    with pytest.raises(StateStoreError, match="of format 2, this version of Ottla reads 1"):
        RocksBytes(tmp_path / "store")


@pytest.mark.parametrize("kind", ON_DISK)
def test_damage_is_said(kind: str, tmp_path: Path) -> None:
    store = ON_DISK[kind](tmp_path / "store")
    store.put(b"k", b"v" * 10_000)
    store.commit(1)
    store.close()
    for file in (tmp_path / "store").iterdir():
        if file.name in ("data.mdb", "CURRENT"):
            file.write_bytes(b"nonsense" * 1_000)
    with pytest.raises(StateStoreError, match="store"):
        ON_DISK[kind](tmp_path / "store")
