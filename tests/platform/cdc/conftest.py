"""One server of PostgreSQL for all tests of a session, and a broker for those of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.platform.cdc.postgres import PostgresServer
from tests.platform.connect.conftest import broker, loaded

__all__ = ["broker", "loaded"]  # fixtures


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    yield running
    running.close()
