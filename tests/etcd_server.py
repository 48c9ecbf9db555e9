"""Real etcd servers on free ports of 127.0.0.1, killed at the end; tests are skipped where there is none."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from ottla.testing.etcd import find_etcd

_START_S = 30.0


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class EtcdMember:
    """One process."""

    def __init__(
        self,
        name: str,
        folder: Path,
        client: int,
        peer: int,
        cluster: str,
        options: tuple[str, ...],
        tls: bool,
    ) -> None:
        scheme = "https" if tls else "http"
        self.endpoint = f"127.0.0.1:{client}"
        self.log = folder / f"{name}.log"
        self._command = [
            *("--name", name),
            *("--data-dir", str(folder / name)),
            *("--listen-client-urls", f"{scheme}://127.0.0.1:{client}"),
            *("--advertise-client-urls", f"{scheme}://127.0.0.1:{client}"),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-cluster", cluster),
            # Elections within a second, also on a busy machine's slow disk.
            *("--heartbeat-interval", "100", "--election-timeout", "1000"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = find_etcd()
        assert binary is not None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([binary, *self._command], stdout=log, stderr=log)

    def wait(self) -> None:
        """Until it listens; one that has no quorum does too."""
        assert self._process is not None
        host, port = self.endpoint.split(":")
        end = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise AssertionError(f"etcd does not start: {self.log.read_text()[-2000:]}") from None
                time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class EtcdCluster:
    """So many members that know one another."""

    def __init__(self, count: int, *options: str, tls: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ottla-etcd-"))
        ports = free_ports(2 * count)
        peers = ports[count:]
        cluster = ",".join(f"m{number}=http://127.0.0.1:{port}" for number, port in enumerate(peers))
        self.members = [
            EtcdMember(f"m{number}", self._folder, ports[number], peers[number], cluster, options, tls)
            for number in range(count)
        ]

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(member.endpoint for member in self.members)

    def __enter__(self) -> Self:
        for member in self.members:
            member.start()
        for member in self.members:
            member.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def run_etcd(count: int = 1, *options: str, tls: bool = False) -> Iterator[EtcdCluster]:
    """Skips the test where there is no etcd; `tls` says that `options` have its clients' certificates."""
    if find_etcd() is None:
        pytest.skip("there is no etcd: neither the package ottla-etcd nor one in PATH")
    with EtcdCluster(count, *options, tls=tls) as cluster:
        yield cluster
