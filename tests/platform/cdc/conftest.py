"""One server of PostgreSQL for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.platform.cdc.postgres import PostgresServer


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    yield running
    running.close()
