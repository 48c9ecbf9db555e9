"""Servers that connectors are tried with: those of Debian, each started once for the tests of a module."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.platform.connect.databases import free_port

TIMEOUT_S = 90

Ask = Callable[[], object]


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], folder: Path, is_there: Ask, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, once `is_there` raises nothing; killed in the end."""
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, **options) as server,
    ):
        try:
            wait_for(is_there, lambda: _ended(server, log))
            yield server
        finally:
            server.kill()


def _ended(server: subprocess.Popen[bytes], log: Path) -> str:
    told = log.read_text(errors="replace")[-2000:]
    if server.poll() is not None:
        pytest.fail(f"the server ended: {told}")
    return told


def wait_for(is_there: Ask, tell: Callable[[], object] = lambda: "") -> None:
    """Until it raises nothing, and gives nothing false."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        told = tell()
        try:
            if is_there() is not False:
                return
            failure: object = "not yet"
        except Exception as error:  # noqa: BLE001 - whatever the service's client raises
            failure = error
        if time.monotonic() > end:
            pytest.fail(f"{failure}; {told}")
        time.sleep(0.05)


def needed(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (Debian's {package})")
    return found


@contextlib.contextmanager
def redis_server(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    import redis

    program = needed("redis-server", "redis-server")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]
    client = redis.Redis(port=port, password=options[-1] if "--requirepass" in options else None)
    with running(command, folder, client.ping) as server:
        yield server
    client.close()


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with redis_server(tmp_path_factory.mktemp("redis"), port):
        yield port
