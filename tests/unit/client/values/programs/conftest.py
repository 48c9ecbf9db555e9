"""Both implementations, for every test that asks for one."""

from __future__ import annotations

import os
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

import pytest

from ottla.client.values.programs import plain
from ottla.client.values.programs.implementation import Implementation


@pytest.fixture(params=["plain", "compiled"], scope="session")
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return plain if request.param == "plain" else _compiled()


@pytest.fixture(scope="session")
def compiled() -> Implementation:
    return _compiled()


def _compiled() -> Any:
    name = "ottla.client.values.programs._programs"
    if libraries := os.environ.get("OTTLA_TEST_LIBRARIES"):  # set by ./dev sanitize
        loader = ExtensionFileLoader(name, f"{libraries}/_programs.abi3.so")
        spec = spec_from_loader(name, loader)
        assert spec is not None
        module = module_from_spec(spec)
        loader.exec_module(module)
        return module
    return pytest.importorskip(name, reason="programs are not compiled: is there a C compiler?")
