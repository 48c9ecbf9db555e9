"""The store of a cluster on three members of etcd, killed, frozen and without a quorum meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest
from tests.etcd_server import EtcdCluster, run_etcd

from ottla import client
from ottla.metadata.transaction import Compare, Put, Transaction
from ottla.store.etcd.address import EtcdAddress
from ottla.store.etcd.members import Timeouts
from ottla.store.etcd.store import EtcdStore
from ottla.store.interface import LeaseNotFoundError, OutcomeUnknownError, StoreError, read_all
from ottla.testing.cluster import free_ports

from .broker_process import BrokerProcess

WRITERS = 4
LAST = "/keys/end"
TIMEOUTS = Timeouts(attempt_s=1.0, total_s=5.0)


class Writer:
    """Writes one key after another, each with the number of the next in a key of its own."""

    def __init__(self, name: str, store: EtcdStore) -> None:
        self.name = name
        self._store = store
        self.acknowledged: dict[str, int] = {}
        """The revision of each key."""
        self.unknown: list[str] = []
        self.refused: list[str] = []

    async def write(self, number: int) -> None:
        key = f"/keys/{self.name}/{number:05}"
        transaction = Transaction(
            (Compare.absent(key),), (Put(key, b"x"), Put(f"/count/{self.name}", b"%d" % number))
        )
        try:
            outcome = await self._store.transaction(transaction)
        except OutcomeUnknownError:
            self.unknown.append(key)
        except StoreError:
            self.refused.append(key)  # nothing was done
        else:
            assert outcome.committed
            self.acknowledged[key] = outcome.revision


async def follow(store: EtcdStore, from_revision: int, seen: list[tuple[int, str]]) -> None:
    """Note each event of the keys, to the last one."""
    async with aclosing(store.watch("/keys/", from_revision)) as watch:
        async for revision in watch:
            assert all(event.revision == revision.number for event in revision.events)
            seen += [(revision.number, event.key) for event in revision.events]
            if seen and seen[-1][1] == LAST:
                return


async def disturb(cluster: EtcdCluster, random: Random, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        kind = random.choice(["kill", "freeze", "no quorum"])
        several = random.sample(cluster.members, 2 if kind == "no quorum" else 1)
        for member in several:
            if kind == "freeze":
                member.freeze()
            else:
                member.kill()
        await asyncio.sleep(random.uniform(1, 4))
        for member in several:
            if kind == "freeze":
                member.thaw()
            else:
                member.spawn()
        await asyncio.sleep(random.uniform(0.5, 2))


async def test_nothing_is_lost_doubled_or_out_of_order(pytestconfig: pytest.Config) -> None:
    is_full = pytestconfig.getoption("full")
    for seed in range(1, 6 if is_full else 2):
        await _run(seed, seconds=60 if is_full else 12)


async def _run(seed: int, seconds: float) -> None:
    random = Random(seed)
    with run_etcd(3) as cluster:
        stores = [
            EtcdStore(EtcdAddress(_turned(cluster.endpoints, n), "c"), timeouts=TIMEOUTS) for n in range(3)
        ]
        for store in stores:
            await store.open()
        first = (await stores[0].range("")).revision + 1
        seen: list[list[tuple[int, str]]] = [[] for _ in stores]
        watching = [
            asyncio.create_task(follow(store, first, events))
            for store, events in zip(stores, seen, strict=True)
        ]
        writers = [Writer(f"w{number}", stores[number % 3]) for number in range(WRITERS)]
        writing = [asyncio.create_task(_write_on(writer)) for writer in writers]
        lease = asyncio.create_task(_keep_a_lease(stores[0]))
        await disturb(cluster, random, seconds)
        for task in (*writing, lease):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*writing)
        with contextlib.suppress(asyncio.CancelledError):
            await lease
        await asyncio.sleep(2 * TIMEOUTS.attempt_s)  # what was sent is done by now, or never will be
        await stores[0].transaction(Transaction((), (Put(LAST, b""),)))
        await asyncio.wait_for(asyncio.gather(*watching), 30)

        present = {entry.key: entry for entry in (await read_all(stores[0], "/keys/")).entries}
        acknowledged = {key: number for writer in writers for key, number in writer.acknowledged.items()}
        refused = {key for writer in writers for key in writer.refused}
        assert len(acknowledged) > 100
        assert {key: present[key].create_revision for key in acknowledged if key in present} == acknowledged
        assert not refused & present.keys()
        history = sorted((entry.mod_revision, key) for key, entry in present.items())
        assert all(entry.create_revision == entry.mod_revision for entry in present.values())
        assert seen == [history] * 3
        for store in stores:
            await store.close()


def _turned(endpoints: tuple[str, ...], by: int) -> tuple[str, ...]:
    return endpoints[by:] + endpoints[:by]


async def _write_on(writer: Writer) -> None:
    number = 0
    while True:
        number += 1
        await asyncio.shield(asyncio.ensure_future(writer.write(number)))


async def _keep_a_lease(store: EtcdStore) -> None:
    """It may end while nobody has a quorum; another is granted then."""
    while True:
        with contextlib.suppress(StoreError, LeaseNotFoundError):
            lease = await store.grant_lease(5000)
            while True:
                await store.keep_lease_alive(lease)
                await asyncio.sleep(0.3)


def test_a_broker_waits_for_etcd_and_can_be_stopped_meanwhile(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    broker = BrokerProcess(tmp_path, {"ottla.metadata.store": f"etcd://127.0.0.1:{port}/c"})
    broker.spawn()
    try:
        end = time.monotonic() + 30
        while "waiting for the metadata store" not in broker.stderr:
            assert time.monotonic() < end, broker.stderr
            time.sleep(0.05)
        assert broker.stop() == 0
        assert broker.stderr.count("waiting") == 1
        assert "Traceback" not in broker.stderr
    finally:
        broker.kill()


def test_brokers_share_a_store(tmp_path: Path) -> None:
    with run_etcd() as etcd:
        store = {"ottla.metadata.store": f"etcd://{etcd.endpoints[0]}/c"}
        brokers = [
            BrokerProcess(tmp_path / str(number), {**store, "node.id": str(number)}) for number in (1, 2)
        ]
        try:
            for broker in brokers:
                broker.folder.mkdir()
                broker.start()
            with client.connect(brokers[1].bootstrap) as connected:
                described = connected.admin.cluster.describe()
            assert [each.node_id for each in described.brokers] == [1, 2]
            assert [broker.stop() for broker in brokers] == [0, 0]
        finally:
            for broker in brokers:
                broker.kill()
