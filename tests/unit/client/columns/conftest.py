"""Both implementations, for every test that asks for one."""

from __future__ import annotations

import os
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

import pytest

from ottla.client.columns import plain
from ottla.client.columns.implementation import Implementation


@pytest.fixture(params=["plain", "compiled"], scope="session")
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return plain if request.param == "plain" else _compiled()


@pytest.fixture(scope="session")
def compiled() -> Implementation:
    return _compiled()


def _compiled() -> Any:
    name = "ottla.client.columns._columns"
    if libraries := os.environ.get("OTTLA_TEST_LIBRARIES"):  # set by ./dev sanitize
        return _load(name, f"{libraries}/_columns.abi3.so")
    return pytest.importorskip(name, reason="the columns are not compiled: is there a C compiler?")


def _load(name: str, library: str) -> Any:
    loader = ExtensionFileLoader(name, library)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module
