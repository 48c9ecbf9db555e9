"""The pytest plugin: fixtures that give a test a fresh broker on a free port.

    def test_orders(ottla_broker):
        producer = Producer({"bootstrap.servers": ottla_broker.bootstrap_servers})

    @pytest.mark.ottla({"num.partitions": 3})       # settings of this test's broker
    async def test_orders_async(ottla_broker): ...

`ottla_broker` is a fresh broker for each test; `ottla_session_broker` one for the whole run (under
pytest-xdist one for each worker), quicker where tests keep to topics of their own. Markers of a module, a
class and a test add up, the nearest one winning.

`ottla_cluster` is three brokers in processes of their own, with etcd beneath; the test is skipped where there
is no etcd.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ottla.testing.cluster import LocalCluster
    from ottla.testing.in_process import InProcessBroker


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "ottla(settings): broker settings for the test's `ottla_broker` fixture"
    )


@pytest.fixture
def ottla_broker(request: pytest.FixtureRequest) -> Iterator[InProcessBroker]:
    """A fresh Kafka-compatible broker for one test, in a thread of this process."""
    from ottla.testing.in_process import run_broker

    with run_broker(_settings(request.node)) as broker:
        yield broker


def _settings(node: pytest.Item) -> dict[str, object]:
    settings: dict[str, object] = {}
    for marker in reversed(list(node.iter_markers("ottla"))):
        if marker.kwargs or len(marker.args) != 1 or not isinstance(marker.args[0], Mapping):
            raise pytest.UsageError("expected settings, as in @pytest.mark.ottla({'num.partitions': 3})")
        settings |= marker.args[0]
    return settings


@pytest.fixture(scope="session")
def ottla_session_broker() -> Iterator[InProcessBroker]:
    """One Kafka-compatible broker for all tests of this process."""
    from ottla.testing.in_process import run_broker

    with run_broker() as broker:
        yield broker


@pytest.fixture
def ottla_cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """Three Kafka-compatible brokers that replicate, for one test."""
    from ottla.testing.cluster import run_cluster
    from ottla.testing.etcd import find_etcd

    if find_etcd() is None:
        pytest.skip("there is no etcd: neither the package ottla-etcd nor one in PATH")
    settings = {name: str(value) for name, value in _settings(request.node).items()}
    with run_cluster(3, settings) as cluster:
        yield cluster
