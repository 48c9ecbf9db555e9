"""A broker, and a bridge on it, for the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.platform.bridge.bridge_process import Api, BridgeProcess

from ottla.testing import InProcessBroker, run_broker

Start = Callable[..., BridgeProcess]


@pytest.fixture(scope="module")
def broker() -> Iterator[InProcessBroker]:
    with run_broker({"group.initial.rebalance.delay.ms": 0, "num.partitions": 1}) as running:
        yield running


@pytest.fixture(scope="module")
def bridge(broker: InProcessBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    process = BridgeProcess(
        broker.bootstrap_servers,
        tmp_path_factory.mktemp("bridge"),
        kafka_producer_linger_ms="0",
        http_cors_enabled="true",
        http_cors_allowedOrigins="https://.*[.]example",
    )
    try:
        process.ready()
        yield process
    finally:
        process.close()


@pytest.fixture
def api(bridge: BridgeProcess) -> Api:
    return bridge.api


@pytest.fixture
def start(broker: InProcessBroker, tmp_path: Path) -> Iterator[Start]:
    """Bridges of the test's own, which are stopped with it."""
    started: list[BridgeProcess] = []

    def begin(*options: str, **settings: str) -> BridgeProcess:
        process = BridgeProcess(broker.bootstrap_servers, tmp_path, *options, **settings)
        started.append(process)
        process.ready()
        return process

    yield begin
    for each in started:
        each.close()
