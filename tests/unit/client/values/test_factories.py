"""The factories bring pyarrow only when they are called, and say which extra is missing."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest

from ottla import client
from ottla.client.errors import MissingExtraError


def test_factories() -> None:
    assert client.json(pa.int64(), errors="skip").decoder().type == pa.int64()
    assert client.text("latin-1").encoding == "iso8859-1"
    assert client.raw().errors == "raise"


def test_the_client_imports_no_pyarrow() -> None:
    program = "import sys, ottla.client; assert not {'pyarrow', 'msgspec', 'asyncio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("factory", [client.json, client.text, client.raw])
def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, factory: object) -> None:
    for module in [name for name in sys.modules if name.startswith("ottla.client.values.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pyarrow: pip install 'ottla\[arrow\]'"):
        factory()  # type: ignore[operator]
