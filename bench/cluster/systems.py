"""The clusters that are measured: three nodes each, with the same lease."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench import brokers, processes, wire
from bench.kafka.install import BROKER_HEAP, Kafka
from ottla.testing.cluster import replication_settings, run_cluster

NODES = 3
LEASE_MS = 3000
_SAME = {"broker.session.timeout.ms": str(LEASE_MS), "broker.heartbeat.interval.ms": "500"}


class Program(Protocol):
    """One process."""

    @property
    def pid(self) -> int | None:
        """None while it does not run."""


class Node(Program, Protocol):
    """One broker."""

    node_id: int
    address: str

    def kill(self) -> None: ...

    def stop(self) -> object:
        """In order; returns when it is gone."""

    def start(self) -> None:
        """Returns when it answers."""


@dataclass(slots=True)
class System:
    """A cluster that runs."""

    name: str
    nodes: Sequence[Node]
    others: Sequence[Program] = ()
    """Processes beside the brokers"""

    @property
    def bootstrap(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def cpu_s(self) -> float:
        """Of all its processes so far."""
        return sum(map(processes.cpu_s, self._pids()))

    def resident_mb(self) -> float:
        """Of all its processes."""
        return sum(map(processes.resident_mb, self._pids()))

    def _pids(self) -> list[int]:
        return [each.pid for each in (*self.nodes, *self.others) if each.pid is not None]


@contextlib.contextmanager
def ottla() -> Iterator[System]:
    """Raises ClusterError where there is no etcd."""
    with run_cluster(NODES, _SAME) as cluster:
        yield System("ottla", cluster.nodes, [cluster.etcd] if cluster.etcd else [])


class _KafkaNode:
    """Broker and controller in one process."""

    def __init__(self, release: Kafka, node_id: int, folder: Path, port: int, voters: str) -> None:
        self._release = release
        self._folder = folder
        self.node_id = node_id
        self.address = f"127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        controller = next(each for each in voters.split(",") if each.startswith(f"{node_id}@")).split("@")[1]
        every = {
            "process.roles": "broker,controller",
            "node.id": str(node_id),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(folder / "log"),
            **replication_settings(NODES),
            **_SAME,
        }
        folder.mkdir()
        self.properties = folder / "server.properties"
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in every.items()))

    def format(self, cluster_id: str) -> None:
        arguments = ("format", "--cluster-id", cluster_id, "--config", str(self.properties))
        command = self._release.command("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"StorageTool: {done.stdout}{done.stderr}")

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def spawn(self) -> None:
        with (self._folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                self._release.command("kafka.Kafka", str(self.properties), heap=BROKER_HEAP),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=self._folder,
            )

    def wait(self) -> None:
        assert self._process is not None
        wire.wait_ready(self.address, self._process, timeout_s=120)

    def start(self) -> None:
        self.spawn()
        self.wait()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)


@contextlib.contextmanager
def kafka(release: Kafka) -> Iterator[System]:
    """KRaft in combined mode, its own defaults and heap."""
    with tempfile.TemporaryDirectory(prefix="kafka-bench-") as folder:
        ports = [brokers.free_port() for _ in range(2 * NODES)]
        voters = ",".join(f"{number + 1}@127.0.0.1:{port}" for number, port in enumerate(ports[NODES:]))
        nodes = [
            _KafkaNode(release, number + 1, Path(folder) / str(number + 1), ports[number], voters)
            for number in range(NODES)
        ]
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        for node in nodes:
            node.format(cluster_id)
        try:
            for node in nodes:
                node.spawn()
            for node in nodes:
                node.wait()
            yield System("kafka", nodes)
        finally:
            for node in nodes:
                node.kill()
