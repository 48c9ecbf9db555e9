"""Real etcd servers on free ports of 127.0.0.1, killed at the end; tests are skipped where there is none."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from ottla.testing.cluster import Process, free_ports, listens
from ottla.testing.etcd import find_etcd

SHORT_LEASE: Final = {"broker.session.timeout.ms": 3_000, "broker.heartbeat.interval.ms": 500}
"""Brokers that are killed are noticed soon."""
_MISSING: Final = "there is no etcd: neither the package ottla-etcd nor one in PATH"

needs_etcd = pytest.mark.skipif(find_etcd() is None, reason=_MISSING)


class EtcdMember(Process):
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
        binary = find_etcd()
        assert binary is not None
        self.endpoint = f"127.0.0.1:{client}"
        command = [
            binary,
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
        super().__init__(name, folder, command)
        self._port = client

    def wait(self) -> None:
        """Until it listens; one that has no quorum does too."""
        self.wait_for("listening", lambda: listens(self._port))


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
            member.spawn()
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
        pytest.skip(_MISSING)
    with EtcdCluster(count, *options, tls=tls) as cluster:
        yield cluster
