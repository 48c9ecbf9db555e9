"""The pytest plugin: fixtures that give a test a fresh broker on a free port.

    def test_orders(ottla_broker):
        producer = Producer({"bootstrap.servers": ottla_broker.bootstrap_servers})

    @pytest.mark.ottla({"num.partitions": 3})       # settings of this test's broker
    async def test_orders_async(ottla_broker): ...

`ottla_broker` is a fresh broker for each test; `ottla_session_broker` one for the whole run (under
pytest-xdist one for each worker), quicker where tests keep to topics of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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

    marker = request.node.get_closest_marker("ottla")
    with run_broker(marker.args[0] if marker and marker.args else None) as broker:
        yield broker


@pytest.fixture(scope="session")
def ottla_session_broker() -> Iterator[InProcessBroker]:
    """One Kafka-compatible broker for all tests of this process."""
    from ottla.testing.in_process import run_broker

    with run_broker() as broker:
        yield broker
