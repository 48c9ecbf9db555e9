"""A node that was alone becomes the first of a cluster: its metadata goes to a real etcd, its logs stay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.etcd_server import run_etcd

from ottla.broker.migration import migrate
from ottla.broker.process import EXIT_FAILURE, EXIT_OK, EXIT_USAGE
from ottla.client import connect
from ottla.client.admin.topics import NewTopic
from ottla.replica.data_dir import DataDirError
from ottla.storage.checkpoints import take_clean_shutdown
from ottla.storage.fs import OsFileSystem
from ottla.store.etcd.address import parse_address
from ottla.store.etcd.store import EtcdStore
from ottla.store.interface import read_all
from ottla.store.sqlite import FILE_NAME, MIGRATED_FILE_NAME
from ottla.testing import run_broker


@pytest.fixture
def address() -> Iterator[str]:
    with run_etcd() as etcd:
        yield f"etcd://{etcd.endpoints[0]}/c"


def write(bootstrap: str, *values: bytes) -> None:
    with connect(bootstrap) as client, client.producer() as producer:
        for value in values:
            producer.send("t", value)


def next_values(bootstrap: str, count: int) -> list[bytes | None]:
    """So many that the group has not consumed yet."""
    found: list[bytes | None] = []
    with (
        connect(bootstrap) as client,
        client.consumer("t", group="g", auto_offset_reset="earliest") as consumer,
    ):
        while len(found) < count:
            batch = consumer.poll(timeout_s=30)
            assert batch is not None
            found += [record.value for record in batch]
    return sorted(found, key=str)


def keys_in(address: str) -> list[str]:
    async def read() -> list[str]:
        store = EtcdStore(parse_address(address))
        await store.open()
        try:
            return [entry.key for entry in (await read_all(store)).entries]
        finally:
            await store.close()

    return asyncio.run(read())


def test_a_node_goes_on_in_a_cluster(tmp_path: Path, address: str) -> None:
    data = str(tmp_path)
    with run_broker(data_dir=data) as broker:
        with connect(broker.bootstrap_servers) as client:
            client.admin.topics.create([NewTopic("t", 3, 1)]).check()
        write(broker.bootstrap_servers, b"a", b"b", b"c")
        assert next_values(broker.bootstrap_servers, 3) == [b"a", b"b", b"c"]
        code, said = migrate(data, address, None, ())
        assert code == EXIT_FAILURE
        assert "in use by another broker" in said
    with (
        pytest.raises(DataDirError, match="ottla cluster migrate"),
        run_broker({"ottla.metadata.store": address}, data_dir=data),
    ):
        pass
    assert keys_in(address) == []
    assert migrate(data, address, None, ())[0] == EXIT_OK
    assert not (tmp_path / FILE_NAME).exists()
    assert (tmp_path / MIGRATED_FILE_NAME).exists()
    with pytest.raises(DataDirError, match="in a cluster's store"), run_broker(data_dir=data):
        pass
    with run_broker({"ottla.metadata.store": address}, data_dir=data) as broker:
        write(broker.bootstrap_servers, b"d")
        assert next_values(broker.bootstrap_servers, 1) == [b"d"]
    code, said = migrate(data, address, None, ())
    assert code == EXIT_FAILURE
    assert "there is metadata already" in said


def test_a_clean_stop_stays_one(tmp_path: Path, address: str) -> None:
    """What the cluster knows of the node's last epoch is what the mark in its folder says."""
    with run_broker(data_dir=tmp_path):
        pass
    assert migrate(str(tmp_path), address, None, ())[0] == EXIT_OK

    async def epoch() -> int:
        store = EtcdStore(parse_address(address))
        await store.open()
        try:
            return (await store.range("/known_brokers/")).entries[0].mod_revision
        finally:
            await store.close()

    mark = take_clean_shutdown(OsFileSystem(16), str(tmp_path))
    assert mark is not None
    assert mark.broker_epoch == asyncio.run(epoch())


def test_what_cannot_be_copied_is_said(tmp_path: Path, address: str) -> None:
    assert migrate(str(tmp_path), None, None, ())[0] == EXIT_USAGE
    code, said = migrate(str(tmp_path), address, None, ())
    assert code == EXIT_FAILURE
    assert f"there is no {FILE_NAME}" in said
    assert list(tmp_path.iterdir()) == []
    assert migrate(str(tmp_path), "etcd://x", None, ())[0] == EXIT_USAGE
