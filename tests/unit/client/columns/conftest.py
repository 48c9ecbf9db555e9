"""Both implementations, for every test that asks for one."""

from __future__ import annotations

import pytest

from ottla.client.columns import plain
from ottla.client.columns.implementation import Implementation


@pytest.fixture(params=["plain"], scope="session")
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return plain
