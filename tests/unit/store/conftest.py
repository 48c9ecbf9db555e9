"""Every store, for the contract that holds for all of them."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from tests.etcd_server import run_etcd

from ottla.metadata.transaction import DeletePrefix, Transaction
from ottla.store.etcd.address import EtcdAddress
from ottla.store.etcd.store import EtcdStore
from ottla.store.faulty import FaultyStore
from ottla.store.interface import Store
from ottla.store.memory import MemoryStore
from ottla.store.sqlite import SqliteStore

from .shifted import ShiftedStore


def monotonic_ms():
    return time.monotonic_ns() // 1_000_000


class Subject(NamedTuple):
    """A store under test; leases shorter than `ttl_ms` it may prolong to that."""

    store: Store
    ttl_ms: int
    reads_ahead: bool = False
    """A watch may have got what is compacted before it is asked for."""


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as one_thread:
        yield one_thread


@pytest.fixture(scope="session")
def etcd():
    with run_etcd() as cluster:
        yield cluster


@pytest.fixture(params=["memory", "sqlite", "faulty", "etcd"])
async def subject(request, tmp_path, executor):
    store: Store
    if request.param == "etcd":
        cluster = request.getfixturevalue("etcd")
        store = EtcdStore(EtcdAddress(cluster.endpoints, uuid.uuid4().hex))
        await store.open()
        yield Subject(await ShiftedStore.over(store), ttl_ms=1000, reads_ahead=True)
        # So that a lease which ends during another test changes nothing.
        await store.transaction(transaction(DeletePrefix("")))
        await store.close()
        return
    if request.param == "sqlite":
        store = SqliteStore(str(tmp_path / "metadata.sqlite"), executor, monotonic_ms)
    else:
        store = MemoryStore(monotonic_ms)
    await store.open()
    yield Subject(FaultyStore(store) if request.param == "faulty" else store, ttl_ms=50)
    await store.close()


@pytest.fixture
def store(subject):
    return subject.store


def transaction(*writes, compares=()):
    return Transaction(tuple(compares), tuple(writes))
