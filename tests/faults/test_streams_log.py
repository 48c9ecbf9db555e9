"""The program of the streams guide on a long log: three instances, one killed, beside a batch computation."""

from __future__ import annotations

import json
import random
import re
import resource
import subprocess
import sys
import sysconfig
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.sync.client import Client

from .broker_process import BrokerProcess
from .clients import eventually

GUIDE = Path(__file__).parents[2] / "docs" / "streams.md"
PARTITIONS = 6
APPLICATION = "alerts"
GAP_MS, LEAST = 30_000, 5
"""Of the program: what is a session, and an alert."""
SETTINGS = {
    "processing.guarantee": "exactly_once_v2",
    "session.timeout.ms": "3000",
    "heartbeat.interval.ms": "500",
    "num.standby.replicas": "1",
}
Alert = tuple[str, int, int, int, str]


def program() -> str:
    """The one that is about a log."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (found,) = [block for block in blocks if "access-log" in block]
    return found


def lines(count: int, start_ms: int, chance: random.Random) -> Iterator[tuple[str, str, int]]:
    """Host, line and time, as servers write them, some a few seconds late. Some hosts do no good at times."""
    paths = sorted(path.name for path in Path(sysconfig.get_path("stdlib")).glob("*.py"))
    for number in range(count):
        at_ms = start_ms + number * 36 - chance.randrange(5_000)
        if chance.random() < 0.2:
            host, status = f"10.0.{number // 2_000 % 250}.7", chance.choice((401, 403, 500))
        else:
            host = f"10.1.{chance.randrange(8)}.{chance.randrange(250)}"
            status = 404 if chance.random() < 0.05 else 200
        at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at_ms / 1000))
        request = f"GET /lib/{chance.choice(paths)} HTTP/1.1"
        yield host, f'{host} - - [{at}] "{request}" {status} {chance.randrange(50_000)}', at_ms


def expected(log: list[tuple[str, str, int]], owners: dict[str, str]) -> Counter[Alert]:
    errors: dict[str, list[int]] = defaultdict(list)
    for host, line, at_ms in log:
        if int(line.rsplit('"', 1)[1].split()[0]) >= 400:
            errors[host].append(at_ms)
    found: Counter[Alert] = Counter()
    for host, times in errors.items():
        sessions: list[list[int]] = []
        for at_ms in sorted(times):
            if not sessions or at_ms - sessions[-1][-1] > GAP_MS:
                sessions.append([])
            sessions[-1].append(at_ms)
        for session in sessions:
            if len(session) >= LEAST and host in owners:
                found[host, session[0], session[-1], len(session), owners[host]] += 1
    return found


def alerts(c: Client) -> Counter[Alert]:
    table = c.read("alerts", isolation="read_committed")
    found: Counter[Alert] = Counter()
    for key, value in zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True):
        alert = json.loads(value)
        found[key.decode(), alert["from"], alert["to"], alert["errors"], alert["owner"]] += 1
    return found


def processed(c: Client) -> int:
    """How many lines are committed as done."""
    (offsets,) = c.admin.group_offsets.list([APPLICATION]).succeeded.values()
    found = offsets.succeeded.items()
    return sum(each.offset for where, each in found if where.topic == "access-log" and each is not None)


class Instances:
    def __init__(self, servers: str, folder: Path, count: int) -> None:
        self._folder = folder
        (folder / "alerts.py").write_text(program())
        settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        run = [sys.executable, "-m", "ottla", "streams", "run", f"{folder}/alerts.py:topology", "-b", servers]
        self._command = [*run, "--application-id", APPLICATION, *settings]
        self.running = [self._start(number) for number in range(count)]

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        with (self._folder / f"{number}.log").open("ab") as log:
            state = f"--set=state.dir={self._folder / str(number)}"
            return subprocess.Popen([*self._command, state], stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        self.running[number].kill()
        self.running[number].wait()

    def start(self, number: int) -> None:
        self.running[number] = self._start(number)

    def check(self) -> None:
        for number, each in enumerate(self.running):
            assert each.poll() is None, (self._folder / f"{number}.log").read_text()[-2000:]

    def stop(self) -> None:
        for each in self.running:
            each.terminate()
        for each in self.running:
            each.wait(60)


@pytest.mark.slow
@pytest.mark.timeout(2_000)
def test_each_alert_is_told_once_while_an_instance_is_killed(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    is_full = request.config.getoption("--full")
    count, within_s = (1_000_000, 600) if is_full else (10_000, 60)
    chance = random.Random(3)
    end_ms = int(time.time() * 1000) // 1000 * 1000
    start_ms = end_ms - 3_600_000 - count * 36
    log = list(lines(count, start_ms, chance))
    hosts = sorted({host for host, _, _ in log})
    owners = {host: f"team {chance.randrange(9)}" for host in hosts if chance.random() < 0.9}
    wanted = expected(log, owners)
    broker = start_broker({"group.min.session.timeout.ms": "1000", "log.retention.ms": "-1"})
    with client.connect(broker.bootstrap) as c:
        names = {"access-log": PARTITIONS, "owners": PARTITIONS, "alerts": 2}
        c.admin.topics.create([NewTopic(name, number, 1) for name, number in names.items()]).check()
        text = {"key": client.text(), "value": client.text()}
        # Owners are there before the log's time: who takes a task over and finds both unread takes them by
        # their times, and an alert is joined with what the table had by then.
        known = [(host, owner, start_ms - 60_000) for host, owner in owners.items()]
        for name, records in (("owners", known), ("access-log", log)):
            keys, values, times = zip(*records, strict=True)
            columns = {"key": keys, "value": values, "timestamp": pa.array(times, pa.timestamp("ms", "UTC"))}
            c.write(name, pa.table(columns), **text)
        with c.producer() as producer:
            for partition in range(PARTITIONS):  # time goes on everywhere, so that all sessions close
                line = b'end - - [x] "GET / HTTP/1.1" 500 0'
                producer.send("access-log", line, key=b"end", timestamp=end_ms, partition=partition)
            producer.flush()
        instances = Instances(broker.bootstrap, tmp_path, 3)
        began_s = time.monotonic()
        try:
            eventually(lambda: instances.check() or processed(c) > count // 3, within_s)
            instances.kill(1)
            eventually(lambda: processed(c) > count // 2, within_s)
            instances.start(1)
            eventually(lambda: instances.check() or alerts(c).total() >= wanted.total(), within_s)
            seconds = time.monotonic() - began_s
        finally:
            instances.stop()
        assert alerts(c) == wanted
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{count} lines, {wanted.total()} alerts: {seconds:.1f} s, {cpu.ru_utime + cpu.ru_stime:.1f} s of CPU"
    )
