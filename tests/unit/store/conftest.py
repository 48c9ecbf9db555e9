"""Every store, for the contract that holds for all of them."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from ottla.metadata.transaction import Transaction
from ottla.store.faulty import FaultyStore
from ottla.store.interface import Store
from ottla.store.memory import MemoryStore
from ottla.store.sqlite import SqliteStore


def monotonic_ms():
    return time.monotonic_ns() // 1_000_000


class Subject(NamedTuple):
    """A store under test; leases shorter than `ttl_ms` it may prolong to that."""

    store: Store
    ttl_ms: int


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as one_thread:
        yield one_thread


@pytest.fixture(params=["memory", "sqlite", "faulty"])
async def subject(request, tmp_path, executor):
    store: Store
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
