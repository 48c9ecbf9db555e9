"""What the fault tests share: brokers of their own, and plain clients."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .broker_process import BrokerProcess
from .clients import Clients
from .hostile import SMALL_LIMITS, Target


@pytest.fixture
def make_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., BrokerProcess]]:
    """A broker that was not started yet: `make_broker({"num.partitions": "3"})`; killed after the test."""
    brokers: list[BrokerProcess] = []

    def make(settings: dict[str, str] | None = None, data: Path | None = None) -> BrokerProcess:
        brokers.append(BrokerProcess(tmp_path_factory.mktemp("broker"), settings, data))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def start_broker(make_broker: Callable[..., BrokerProcess]) -> Callable[..., BrokerProcess]:
    """A broker that runs: `start_broker({"num.partitions": "3"})`."""

    def start(settings: dict[str, str] | None = None, **rest: Any) -> BrokerProcess:
        broker = make_broker(settings, **rest)
        broker.start()
        return broker

    return start


@pytest.fixture
def clients() -> Callable[[BrokerProcess], Clients]:
    """Clients of a broker: `clients(broker).produce(...)`."""
    return lambda broker: Clients(broker.bootstrap)


@pytest.fixture(scope="module")
def module_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A broker with small limits for all hostile tests of a module."""
    broker = BrokerProcess(tmp_path_factory.mktemp("hostile"), SMALL_LIMITS)
    broker.start()
    made = Target(broker, Clients(broker.bootstrap))
    yield made
    made.assert_real_clients_work()
    assert broker.stop() == 0, broker.stderr
