"""Three brokers on three members of etcd, and what can go wrong with them and between them."""

from __future__ import annotations

import contextlib
import glob
import json
import random
import resource
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.etcd_server import EtcdCluster, EtcdMember, run_etcd

from ottla.testing.cluster import Process, free_ports, replication_settings

from .clients import Clients, eventually
from .links import Links

LEASE_S: Final = 3.0
SETTINGS: Final = {
    "broker.session.timeout.ms": str(int(LEASE_S * 1000)),
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "2000",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "3",
    "auto.create.topics.enable": "false",
}
_FILE_BYTES: Final = 100_000
"""How far files grow on a full disk"""
_FAKE_TIME: Final = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
"""Sets the time of day for one process alone; Debian's libfaketime"""


class FaultyNode(Process):
    """A broker. Clients reach it as it is, the others through proxies, and so it reaches etcd."""

    def __init__(
        self, node_id: int, folder: Path, settings: Mapping[str, str], links: Links, etcd: EtcdCluster
    ) -> None:
        self.node_id = node_id
        self.who = f"broker {node_id}"
        client, internal = free_ports(2)
        self.address = f"127.0.0.1:{client}"
        self.internal_port = internal
        proxy = links.open(self.who, internal)
        members = [
            f"127.0.0.1:{links.open(member.name, int(member.endpoint.rpartition(':')[2]), self.who)}"
            for member in etcd.members
        ]
        every = {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT",
            **settings,
            "advertised.listeners": f"PLAINTEXT://{self.address},INTERNAL://127.0.0.1:{proxy}",
            "inter.broker.listener.name": "INTERNAL",
        }
        command = [sys.executable, "-m", "ottla", "serve", "--data", str(folder / f"node-{node_id}")]
        command += ["--listen", f"PLAINTEXT://{self.address},INTERNAL://127.0.0.1:{internal}"]
        command += ["--node-id", str(node_id), "--metadata", f"etcd://{','.join(members)}/ottla"]
        for name, value in every.items():
            command += ["--set", f"{name}={value}"]
        super().__init__(f"node-{node_id}", folder, command)
        self._serve = command
        self._environment: dict[str, str] = {}
        self._time_of_day = folder / f"node-{node_id}.time"

    def spawn(self) -> None:
        self._command = [
            "env",
            *(f"{name}={value}" for name, value in self._environment.items()),
            *self._serve,
        ]
        super().spawn()

    def run_with(self, python_path: Path) -> None:
        """From its next start on, another version: a folder with `ottla`, or with what changes it."""
        self._environment["PYTHONPATH"] = str(python_path)

    def run_as_it_is(self) -> None:
        """From its next start on, the version of this checkout."""
        self._environment.pop("PYTHONPATH", None)

    def have_its_own_time(self) -> None:
        """From its next start on, a time of day that can be set, where there is what does that."""
        self.set_time(0)
        if _FAKE_TIME is not None:
            self._environment |= {
                "LD_PRELOAD": _FAKE_TIME,
                "FAKETIME_TIMESTAMP_FILE": str(self._time_of_day),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1",
            }

    def set_time(self, ahead_s: int) -> None:
        """Of day, so far ahead of the real one, within a second."""
        told = self._time_of_day.with_suffix(".new")
        told.write_text(f"{ahead_s:+d}")
        told.replace(self._time_of_day)

    @property
    def is_ready(self) -> bool:
        return self.is_running and "ottla is ready on" in self.output.read_text()

    def start(self) -> None:
        """Raises ClusterError."""
        self.spawn()
        self.wait_for("ready", lambda: self.is_ready)

    def fill_disk(self) -> None:
        """From now on no file may grow large (EFBIG)."""
        self._limit_files(_FILE_BYTES)

    def make_room(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        if self.pid is not None:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class FaultyCluster:
    """Each method does harm, waits for so many seconds, and puts things right again, but for what broke."""

    def __init__(
        self, folder: Path, etcd: EtcdCluster, links: Links, settings: Mapping[str, str] | None = None
    ) -> None:
        self.etcd = etcd
        self.links = links
        every = {**replication_settings(3), **SETTINGS, **(settings or {})}
        self.nodes = [FaultyNode(number, folder, every, links, etcd) for number in (1, 2, 3)]

    @property
    def bootstrap(self) -> str:
        return ",".join(node.address for node in self.nodes)

    @property
    def internal_ports(self) -> list[int]:
        """Where brokers listen to one another."""
        return [node.internal_port for node in self.nodes]

    def start(self) -> None:
        """Raises ClusterError."""
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait_for("ready", lambda node=node: node.is_ready)

    def kill(self, node: FaultyNode, seconds: float) -> None:
        node.kill()
        time.sleep(seconds)
        node.start()

    def kill_all(self, seconds: float) -> None:
        for node in self.nodes:
            node.kill()
        time.sleep(seconds)
        self.start()

    def freeze(self, node: FaultyNode, seconds: float) -> None:
        node.freeze()
        time.sleep(seconds)
        node.thaw()

    def cut(self, node: FaultyNode, seconds: float, *, there: bool = True, back: bool = True) -> None:
        """From the other brokers: what it sends (`there`), what it is sent (`back`)."""
        others = [other.who for other in self.nodes if other is not node]
        self._cut(node.who, others, seconds, there=there, back=back)

    def cut_from_etcd(
        self, node: FaultyNode, seconds: float, *, there: bool = True, back: bool = True
    ) -> None:
        members = [member.name for member in self.etcd.members]
        self._cut(node.who, members, seconds, there=there, back=back)

    def isolate(self, node: FaultyNode, seconds: float) -> None:
        """From the other brokers and from etcd; clients reach it."""
        others = [other.who for other in self.nodes if other is not node]
        self._cut(node.who, others + [member.name for member in self.etcd.members], seconds)

    def _cut(
        self, who: str, others: list[str], seconds: float, *, there: bool = True, back: bool = True
    ) -> None:
        ways = [(who, other) for other in others if there] + [(other, who) for other in others if back]
        self.links.cut(*ways)
        time.sleep(seconds)
        self.links.mend()

    def fill_disk(self, node: FaultyNode, seconds: float) -> None:
        node.fill_disk()
        time.sleep(seconds)
        node.make_room()

    def set_time(self, node: FaultyNode, ahead_s: int, seconds: float) -> None:
        """Have it jump, and back again in the end."""
        node.set_time(ahead_s)
        time.sleep(seconds)
        node.set_time(0)

    def kill_etcd_leader(self, seconds: float) -> None:
        leader = self.etcd_leader()
        leader.kill()
        time.sleep(seconds)
        leader.spawn()
        leader.wait()

    def without_etcd(self, seconds: float) -> None:
        for member in self.etcd.members:
            member.freeze()
        time.sleep(seconds)
        for member in self.etcd.members:
            member.thaw()

    def restart_in_turn(self, change: Callable[[FaultyNode], None] = lambda _: None) -> None:
        """Stop each in order, `change` it, and start it; go on when it is in sync again."""
        clients = Clients(self.bootstrap)
        for node in self.nodes:
            assert node.stop() == 0, node.last_words()
            change(node)
            node.start()
            eventually(lambda: is_in_sync(clients, len(self.nodes)), 60)

    def etcd_leader(self) -> EtcdMember:
        """Raises AssertionError where there is none for long."""
        found: list[EtcdMember] = eventually(lambda: [each for each in self.etcd.members if _leads(each)], 20)
        return found[0]

    def recover(self) -> None:
        """Start what has ended."""
        for node in self.nodes:
            if not node.is_running:
                node.start()

    def all_logs(self) -> str:
        return "".join(node.log.read_text(errors="replace") for node in self.nodes)


def is_in_sync(clients: Clients, replicas: int) -> bool:
    topics = clients.admin.list_topics(timeout=20).topics.values()
    return all(len(each.isrs) == replicas for topic in topics for each in topic.partitions.values())


def leaders(clients: Clients, topic: str) -> dict[int, int]:
    """Of its partitions; negative for none."""
    found = clients.admin.list_topics(topic, timeout=20).topics[topic].partitions
    return {number: each.leader for number, each in found.items()}


def _leads(member: EtcdMember) -> bool:
    request = urllib.request.Request(f"http://{member.endpoint}/v3/maintenance/status", data=b"{}")
    try:
        with urllib.request.urlopen(request, timeout=1) as response:
            status = json.load(response)
    except OSError:
        return False
    return bool(status.get("leader") == status["header"]["member_id"])


@contextlib.contextmanager
def run_faulty_cluster(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    version: Path | None = None,
    *,
    has_own_times: bool = False,
    etcd_options: Sequence[str] = (),
) -> Iterator[FaultyCluster]:
    """It is killed in the end. With `etcd_options`, certificates, etcd speaks TLS. Skips the test where there
    is no etcd.
    """
    with run_etcd(3, *etcd_options, tls=bool(etcd_options)) as etcd, Links() as links:
        cluster = FaultyCluster(folder, etcd, links, settings)
        for node in cluster.nodes if version else ():
            node.run_with(version)
        for node in cluster.nodes if has_own_times else ():
            node.have_its_own_time()
        try:
            cluster.start()
            yield cluster
        finally:
            for node in cluster.nodes:
                node.kill()


def can_set_time() -> bool:
    """Whether there is what gives brokers a time of their own."""
    return _FAKE_TIME is not None


def faults(cluster: FaultyCluster, chosen: random.Random) -> Mapping[str, Callable[[], None]]:
    """One of each kind, with victims and durations by chance."""

    def victim() -> FaultyNode:
        return chosen.choice(cluster.nodes)

    def long() -> float:
        """Sometimes longer than a lease, sometimes not."""
        return LEASE_S * chosen.uniform(0.1, 1.7)

    def jump(sign: int) -> None:
        """By minutes, and so far that no producer's records are of the future for the broker (an hour)."""
        cluster.set_time(victim(), sign * chosen.randrange(1, 3300), long())

    times = {"set ahead": lambda: jump(1), "set back": lambda: jump(-1)} if can_set_time() else {}
    return times | {
        "killed": lambda: cluster.kill(victim(), long()),
        "all killed": lambda: cluster.kill_all(chosen.uniform(0, 1)),
        "frozen": lambda: cluster.freeze(victim(), long()),
        "cut off": lambda: cluster.cut(victim(), long()),
        "heard only": lambda: cluster.cut(victim(), long(), there=False),
        "hears only": lambda: cluster.cut(victim(), long(), back=False),
        "cut from etcd": lambda: cluster.cut_from_etcd(victim(), long()),
        "not heard by etcd": lambda: cluster.cut_from_etcd(victim(), long(), back=False),
        "hears not etcd": lambda: cluster.cut_from_etcd(victim(), long(), there=False),
        "isolated": lambda: cluster.isolate(victim(), long()),
        "disk full": lambda: cluster.fill_disk(victim(), long()),
        "etcd's leader killed": lambda: cluster.kill_etcd_leader(chosen.uniform(0, 2)),
        "without etcd": lambda: cluster.without_etcd(long()),
        "restarted in turn": cluster.restart_in_turn,
    }
