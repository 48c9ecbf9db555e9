"""What moves through a topology."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ottla.streams
from ottla.streams import Change, Record, ValueAndTimestamp, Window, Windowed


def test_a_changed_record_keeps_the_rest() -> None:
    record = Record("k", 1, 10, (("h", b"x"),))
    assert record.with_value(2) == Record("k", 2, 10, (("h", b"x"),))
    assert record.with_key("l") == Record("l", 1, 10, (("h", b"x"),))
    assert record.with_timestamp(11) == Record("k", 1, 11, (("h", b"x"),))
    assert record.with_headers(()) == Record("k", 1, 10)
    assert record == Record("k", 1, 10, (("h", b"x"),))


def test_windowed_keys_are_keys() -> None:
    assert {Windowed("a", Window(0, 5)): 1}[Windowed("a", Window(0, 5))] == 1
    assert Windowed("a", Window(0, 5)) != Windowed("a", Window(5, 10))
    assert Windowed("a", Window(0, 5)) != Windowed("b", Window(0, 5))


def test_equality_is_of_content() -> None:
    assert Change(1, None) == Change(1, None)
    assert Change(1, None) != Change(1, None, is_latest=False)
    assert ValueAndTimestamp(1, 2) == ValueAndTimestamp(1, 2)
    assert ValueAndTimestamp(1, 2) != ValueAndTimestamp(1, 3)


def test_every_public_name_is_there() -> None:
    assert sorted(ottla.streams.__all__) == dir(ottla.streams)
    for name in ottla.streams.__all__:
        assert getattr(ottla.streams, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ottla.streams.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_large() -> None:
    large = "('pyarrow', 'lmdb', 'rocksdict', 'asyncio')"
    code = f"import sys, ottla.streams; sys.exit(str([m for m in {large} if m in sys.modules] or '') or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)
