"""A broker for the tests of a module, workers on it, and databases."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.platform.connect.databases import mariadb, postgresql, sqlite
from tests.platform.connect.object_stores import s3
from tests.platform.connect.services import redis_port
from tests.platform.connect.tables import engine, url
from tests.platform.connect.worker_process import WorkerProcess

from ottla.broker import apis
from ottla.testing import InProcessBroker, run_broker

__all__ = ["engine", "mariadb", "postgresql", "s3", "redis_port", "sqlite", "url"]  # fixtures

Start = Callable[..., WorkerProcess]


@pytest.fixture(scope="session")
def loaded() -> None:
    """All that brokers load with a request. Python 3.11 may fail to compile what pytest rewrites in a
    broker's thread while another changes the limit of recursion."""
    for each in pkgutil.walk_packages(apis.__path__, f"{apis.__name__}."):
        importlib.import_module(each.name)


@pytest.fixture(scope="module")
def broker(loaded: None) -> Iterator[InProcessBroker]:
    with run_broker({"group.initial.rebalance.delay.ms": 0}) as running:
        yield running


@pytest.fixture
def start(broker: InProcessBroker, tmp_path: Path) -> Iterator[Start]:
    """Workers of the test's own, which are stopped with it."""
    started: list[WorkerProcess] = []

    def begin(kind: str, *connectors: Path, folder: Path = tmp_path, **settings: str) -> WorkerProcess:
        process = WorkerProcess(kind, broker.bootstrap_servers, folder, *connectors, **settings)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.close()
