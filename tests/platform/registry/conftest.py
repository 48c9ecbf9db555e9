"""A broker, and a registry on it, for the tests of a module."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.platform.registry.registry_process import Api, RegistryProcess

from ottla.broker import apis
from ottla.testing import InProcessBroker, run_broker

Start = Callable[..., RegistryProcess]


@pytest.fixture(scope="session")
def loaded() -> None:
    """All that brokers load with a request. Python 3.11 may fail to compile what pytest rewrites in a
    broker's thread while another changes the limit of recursion."""
    for each in pkgutil.walk_packages(apis.__path__, f"{apis.__name__}."):
        importlib.import_module(each.name)


@pytest.fixture(scope="module")
def broker(loaded: None) -> Iterator[InProcessBroker]:
    with run_broker() as running:
        yield running


@pytest.fixture(scope="module")
def registry(broker: InProcessBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    process = RegistryProcess(broker.bootstrap_servers, tmp_path_factory.mktemp("registry"))
    try:
        process.ready()
        yield process
    finally:
        process.close()


@pytest.fixture
def api(registry: RegistryProcess) -> Api:
    return registry.api


@pytest.fixture
def start(broker: InProcessBroker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Instances of a registry of the test's own, which are stopped with it."""
    started: list[RegistryProcess] = []

    def begin(*options: str, port: int = 0, **settings: str) -> RegistryProcess:
        name = f"test-{abs(hash(request.node.nodeid))}"
        own = {"kafkastore_topic": f"_{name}", "schema_registry_group_id": name, **settings}
        process = RegistryProcess(broker.bootstrap_servers, tmp_path, *options, port=port, **own)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.close()
