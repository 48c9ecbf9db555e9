"""A cluster of three brokers that is started as one broker is: for `OTTLA_TEST_SERVE`.

    OTTLA_TEST_SERVE="python -m tests.clients.cluster_server" ./dev test tests/clients

Clients find the first broker where they would find the only one. SIGTERM stops all; when this process is
killed, so are they.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path

from ottla.testing.cluster import LocalCluster, listens, replication_settings

_NODES = 3
_UNDERTAKER = "import os, signal, sys; sys.stdin.read(); [os.kill(int(pid), 9) for pid in sys.argv[1:]]"
"""Kills what is named once nobody can write to it any more"""


def main() -> int:
    parser = ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    options = parser.parse_args()
    settings = dict(each.split("=", maxsplit=1) for each in options.settings) | replication_settings(_NODES)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    first = _first_port(options.data, int(options.listen.rpartition(":")[2]))
    cluster = LocalCluster(_NODES, options.data, first_port=first, settings=settings)
    _wait_for_ports(first)
    for _ in cluster.start():
        pass
    processes = [*cluster.nodes, *([cluster.etcd] if cluster.etcd else [])]
    pids = [str(process.pid) for process in processes]
    subprocess.Popen([sys.executable, "-c", _UNDERTAKER, *pids], stdin=subprocess.PIPE)
    print(f"three brokers are ready, the first on {cluster.nodes[0].address}", flush=True)
    while not stopping.wait(0.1):
        for process in processes:
            if not process.is_running:
                raise SystemExit(f"{process.name} has ended: {process.last_words()}")
    cluster.stop()
    return 0


def _first_port(folder: Path, asked: int) -> int:
    """The ports stay over restarts: the one that is asked for, and the next ones."""
    if asked:
        return asked
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        first = random.randrange(20_000, 32_000)  # whoever asks for any port gets others
        if not any(listens(first + more) for more in range(_NODES + 2)):
            return first


def _wait_for_ports(first: int) -> None:
    end = time.monotonic() + 10
    while any(listens(first + number) for number in range(_NODES + 2)) and time.monotonic() < end:
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
