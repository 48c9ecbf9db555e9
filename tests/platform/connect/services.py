"""Servers that connectors are tried with: those of Debian, each started once for the tests of a module."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.platform.connect.databases import free_port

from ottla.connect.records import SourceRecord
from ottla.connect.testing import RunningTask

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
            if isinstance(error, urllib.error.HTTPError):
                error.close()
        if time.monotonic() > end:
            pytest.fail(f"{failure}; {told}")
        time.sleep(0.05)


def polled(task: RunningTask, count: int) -> list[SourceRecord]:
    """So many records of a source, or a few more."""
    records: list[SourceRecord] = []

    def has_all() -> bool:
        records.extend(task.poll())
        return len(records) >= count

    wait_for(has_all, lambda: records)
    return records


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


@contextlib.contextmanager
def mosquitto(folder: Path, port: int, *lines: str) -> Iterator[subprocess.Popen[bytes]]:
    """Debian's broker of MQTT."""
    program = needed("mosquitto", "mosquitto")
    folder.chmod(0o755)
    config = folder / "mosquitto.conf"
    settings = [f"listener {port} 127.0.0.1", *(lines or ["allow_anonymous true"]), "user root"]
    config.write_text("\n".join([*settings, ""]))
    with running(
        [program, "-c", config], folder, lambda: socket.create_connection(("127.0.0.1", port)).close()
    ) as server:
        yield server


@contextlib.contextmanager
def rabbitmq_server(folder: Path, port: int) -> Iterator[None]:
    """Debian's broker of AMQP, by the script that does not leave root."""
    needed("rabbitmq-server", "rabbitmq-server")
    program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    (folder / "plugins").write_text("[].\n")
    settings = {
        "RABBITMQ_NODENAME": f"ottla{port}@localhost", "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()), "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"), "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_PID_FILE": str(folder / "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "HOME": str(folder), "ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
    }  # fmt: skip
    import pika

    def answers() -> None:
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)).close()

    with running(
        [program], folder, answers, env={**os.environ, **settings}, start_new_session=True
    ) as server:
        try:
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            subprocess.run(
                ["epmd", "-kill"], env={**os.environ, **settings}, check=False, capture_output=True
            )


@contextlib.contextmanager
def prometheus(folder: Path, port: int) -> Iterator[str]:
    """Debian's Prometheus, which scrapes nothing, and takes what is written to it."""
    program = needed("prometheus", "prometheus")
    (folder / "prometheus.yml").write_text("{}\n")
    command = [program, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/data",
               f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with running(command, folder, lambda: urllib.request.urlopen(f"{url}/-/ready", timeout=5).close()):
        yield url
