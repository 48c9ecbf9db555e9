"""Both implementations, for every test that asks for one."""

from __future__ import annotations

import importlib

import pytest

from ottla.client.columns.implementation import Implementation


@pytest.fixture(params=["plain", "_columns"], scope="session")
def implementation(request: pytest.FixtureRequest) -> Implementation:
    module = f"ottla.client.columns.{request.param}"
    if request.param == "plain":
        return importlib.import_module(module)
    return pytest.importorskip(module, reason="the columns are not compiled: is there a C compiler?")
