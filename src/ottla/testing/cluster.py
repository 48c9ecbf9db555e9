"""A cluster on this host: etcd and brokers, each a process of its own.

with run_cluster(3) as cluster:
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    cluster.nodes[0].kill()
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ottla.testing.etcd import find_etcd

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
_PORTS: Final = range(10_000, 32_768)
"""Below those that systems choose from for whoever connects, or listens on any port"""
_LOOK_EVERY_S: Final = 0.02
_READY: Final = re.compile(r"^ottla is ready on (\S+) ", re.MULTILINE)


class ClusterError(RuntimeError):
    """A process of the cluster could not be started, or has ended; the text has its last words."""


class Process:
    """One of them; what it says goes to files beside its data."""

    def __init__(self, name: str, folder: Path, command: Sequence[str]) -> None:
        self.name = name
        self.output = folder / f"{name}.out"
        self.log = folder / f"{name}.log"
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and where it was never started or is stopped."""
        return None if self._process is None else self._process.poll()

    def spawn(self) -> None:
        """Start it, and return at once. Ctrl-C is not for it: who started it stops it in order."""
        with self.output.open("wb") as output, self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a command of ours
                self._command, stdout=output, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def kill(self) -> None:
        """As a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> None:
        """Ask it to stop; `stop` waits for that."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> int | None:
        """Have it stop in order; its exit code, None where it did not run. Killed if it takes too long."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ClusterError(f"{self.name} does not stop; it was killed") from None
        self._process = None
        return code

    def freeze(self) -> None:
        """Have it do nothing until `thaw`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def wait_for(self, what: str, is_there: Callable[[], bool]) -> None:
        """Raises ClusterError when it ends before, or takes too long."""
        end = time.monotonic() + START_TIMEOUT_S
        while not is_there():
            if not self.is_running:
                raise ClusterError(f"{self.name} has ended: {self.last_words()}")
            if time.monotonic() > end:
                raise ClusterError(
                    f"{self.name} is not {what} within {START_TIMEOUT_S:g} s: {self.last_words()}"
                )
            time.sleep(_LOOK_EVERY_S)

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-5:]) or "it said nothing"


class Node(Process):
    """A broker, which keeps its address over restarts."""

    def __init__(
        self, node_id: int, folder: Path, port: int, metadata: str, settings: Mapping[str, str]
    ) -> None:
        self.node_id = node_id
        self.data = folder / f"node-{node_id}"
        self.address = f"127.0.0.1:{port}"
        self._metadata = metadata
        self._settings = settings
        super().__init__(f"node-{node_id}", folder, ())

    def spawn(self) -> None:
        command = [sys.executable, "-m", "ottla", "serve", "--data", str(self.data), "--listen", self.address]
        command += ["--node-id", str(self.node_id), "--metadata", self._metadata]
        for name, value in self._settings.items():
            command += ["--set", f"{name}={value}"]
        self._command = command
        super().spawn()

    def wait_until_ready(self) -> None:
        """Raises ClusterError."""
        self.wait_for("ready", lambda: _READY.search(self.output.read_text()) is not None)

    def start(self) -> None:
        """Raises ClusterError."""
        self.spawn()
        self.wait_until_ready()


class LocalCluster:
    """Brokers, and the etcd beneath them unless `metadata` names one."""

    def __init__(
        self,
        count: int,
        folder: Path,
        *,
        first_port: int = 0,
        metadata: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Ports from `first_port` on: the brokers', then two of etcd; 0 takes free ones.

        Raises ClusterError where there is no etcd.
        """
        ports = free_ports(count + 2) if first_port == 0 else list(range(first_port, first_port + count + 2))
        self.etcd = None if metadata is not None else _etcd(folder, *ports[count:])
        store = metadata or f"etcd://127.0.0.1:{ports[count]}/ottla"
        own = {**replication_settings(count), **(settings or {})}
        self.nodes = [Node(number + 1, folder, ports[number], store, own) for number in range(count)]
        self._folder = folder
        self._etcd_port = ports[count]

    @property
    def bootstrap_servers(self) -> str:
        """All brokers, as clients want them."""
        return ",".join(node.address for node in self.nodes)

    def start(self) -> Iterator[Node]:
        """Start all; each as it gets ready. Raises ClusterError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.etcd is not None:
            self.etcd.spawn()
            self.etcd.wait_for("listening", lambda: listens(self._etcd_port))
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait_until_ready()
            yield node

    def stop(self) -> None:
        """The brokers at once, then etcd. Raises ClusterError for one that had to be killed."""
        with contextlib.ExitStack() as last:
            if self.etcd is not None:
                last.callback(self.etcd.stop)
            for node in self.nodes:
                node.terminate()
            for node in self.nodes:
                last.callback(node.stop)

    def kill(self) -> None:
        """All at once."""
        for process in (*self.nodes, *([self.etcd] if self.etcd is not None else [])):
            process.kill()

    def __enter__(self) -> Self:
        try:
            for _ in self.start():
                pass
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@contextlib.contextmanager
def run_cluster(count: int = 3, settings: Mapping[str, str] | None = None) -> Iterator[LocalCluster]:
    """A cluster in a folder of its own, on free ports, killed and removed at the end.

    Raises ClusterError where there is no etcd.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ottla-cluster-") as folder,
        LocalCluster(count, Path(folder), settings=settings) as cluster,
    ):
        yield cluster


def replication_settings(count: int) -> Mapping[str, str]:
    """As many replicas as Kafka's defaults have, or as there are brokers; two of three must have a record."""
    copies, in_sync = str(min(3, count)), str(min(2, max(1, count - 1)))
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
    }


def free_ports(count: int) -> list[int]:
    """Of 127.0.0.1; nobody is given one without asking for it: a killed process finds its own free again."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            port = random.SystemRandom().choice(_PORTS)
            with contextlib.suppress(OSError):  # it is in use
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
    return found


def _etcd(folder: Path, client: int, peer: int) -> Process:
    binary = find_etcd()
    if binary is None:
        raise ClusterError(
            "there is no etcd: install one into PATH, or the package that brings it "
            "(pip install ./packages/ottla-etcd in Ottla's repository), or name one that runs with --metadata"
        )
    command = [binary, "--name", "etcd", "--data-dir", str(folder / "etcd"), "--log-level", "warn"]
    command += ["--listen-client-urls", f"http://127.0.0.1:{client}"]
    command += ["--advertise-client-urls", f"http://127.0.0.1:{client}"]
    command += ["--listen-peer-urls", f"http://127.0.0.1:{peer}"]
    command += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
    command += ["--initial-cluster", f"etcd=http://127.0.0.1:{peer}"]
    return Process("etcd", folder, command)


def listens(port: int) -> bool:
    """Whether anybody does, at 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
