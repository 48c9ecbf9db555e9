"""Several brokers on one store: who is a member, who leads, and what becomes of it when brokers stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.broker.cluster import Cluster, run_cluster, until

from ottla.replica.data_dir import DataDirError


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with run_cluster(tmp_path) as running:
        yield running


async def test_all_are_members_of_one_cluster(cluster: Cluster) -> None:
    assert len({broker.node.cluster_id for broker in cluster.brokers.values()}) == 1
    image = cluster.brokers[1].image
    assert image.controller is not None
    assert image.controller.node_id == 1
    for node_id, broker in cluster.brokers.items():
        registered = image.brokers[node_id]
        assert image.is_active(node_id)
        host, port = broker.node.addresses["PLAINTEXT"]
        assert registered.listeners["PLAINTEXT"] == (host, port, "PLAINTEXT")
        assert registered.rack == f"rack-{node_id}"


async def test_a_broker_that_stops_and_starts_is_clean_and_the_same(cluster: Cluster) -> None:
    first = cluster.brokers[3].image.brokers[3]
    await cluster.stop(3)
    one = cluster.brokers[1]
    await until(lambda: 3 not in one.image.brokers)
    again = await cluster.start(3)
    registered = again.image.brokers[3]
    assert registered.is_clean
    assert registered.epoch > first.epoch
    assert registered.directory_id == first.directory_id
    assert registered.incarnation != first.incarnation


async def test_another_broker_is_controller_when_it_stops(cluster: Cluster) -> None:
    await cluster.stop(1)
    two = cluster.brokers[2]
    await until(lambda: two.image.controller is not None and two.image.controller.node_id in (2, 3))


async def test_folders_of_another_cluster_are_refused(tmp_path: Path) -> None:
    async with run_cluster(tmp_path / "a", 2):
        pass
    async with run_cluster(tmp_path / "b", 1) as other:
        (tmp_path / "b" / "2").symlink_to(tmp_path / "a" / "2")
        with pytest.raises(DataDirError, match="of cluster"):
            await other.start(2)
