"""An application of Kafka Streams in Java and one of Ottla, on the same changelogs and outputs."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bench.kafka.install import Kafka, KafkaUnavailableError, install
from tests.differential.brokers import KAFKA_VERSION

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.sync.client import Client
from ottla.streams import (
    Long,
    SessionWindows,
    Store,
    Streams,
    StreamsBuilder,
    StreamsError,
    Text,
    TimeWindows,
    Topology,
    TopologyTest,
)
from ottla.testing import run_broker

from .conftest import eventually

SOURCES = Path(__file__).parent / "java"
JVM = ("-Xmx256m", "-XX:TieredStopAtLevel=1")
STARTED_S = 90
SOURCE, SINKS = "orders", ("counts", "totals", "sessions")
START_MS = int(time.time() * 1000) // 10_000 * 10_000
TURN_S = 30
FIRST = 12
Updates = dict[str, list[int | None]]
Outputs = dict[str, Updates]
Orders = list[tuple[str, int, int]]

pytestmark = pytest.mark.skipif(shutil.which("javac") is None, reason="needs javac, of Java 17 or newer")


@pytest.fixture(scope="module")
def jars() -> Kafka:
    try:
        return install(KAFKA_VERSION, pom=SOURCES / "pom.xml", name="kafka-streams")
    except KafkaUnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def classes(jars: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    command = ["javac", "-proc:none", "-d", str(folder), "-cp", f"{jars.jars}/*", str(SOURCES / "Shop.java")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def topology() -> Topology:
    """That of Shop.java."""
    b = StreamsBuilder(default_key=Text(), default_value=Long())
    orders = b.stream(SOURCE)
    orders.group_by(lambda _, amount: f"m{amount % 3}").count(Store("counts")).to_stream().to("counts")
    totals = orders.group_by_key().windowed_by(TimeWindows.of("10s", grace="5s"))
    totals.reduce(lambda total, amount: total + amount, Store("totals")).to_stream().map(
        lambda key, total: (f"{key.key}@{key.window.start}", total)
    ).to("totals")
    orders.group_by_key().windowed_by(SessionWindows.of("3s", grace="5s")).count(
        Store("sessions")
    ).to_stream().map(lambda key, n: (f"{key.key}@{key.window.start}-{key.window.end}", n)).to("sessions")
    return b.build()


def settings_of(servers: str, application: str, folder: Path) -> dict[str, object]:
    return {
        "bootstrap.servers": servers,
        "application.id": application,
        "state.dir": str(folder),
        "processing.guarantee": "exactly_once_v2",
        "commit.interval.ms": 50,
        "statestore.cache.max.bytes": 0,
    }


@pytest.fixture
def java(jars: Kafka, classes: Path, tmp_path: Path) -> Iterator[Callable[[Mapping[str, object]], Any]]:
    """Starts Shop.java with settings; ended after the test."""
    made: list[subprocess.Popen[str]] = []

    def start(settings: Mapping[str, object]) -> subprocess.Popen[str]:
        file = tmp_path / f"java-{len(made)}.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = jars.command("Shop", str(file), SOURCE, *SINKS, heap=(*JVM, f"-Djava.io.tmpdir={tmp_path}"))
        command[command.index("-cp") + 1] += f":{classes}"
        pipe = subprocess.PIPE
        made.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=pipe, text=True))
        return made[-1]

    yield start
    for each in made:
        each.kill()
        each.communicate()


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with run_broker({"group.initial.rebalance.delay.ms": 0}) as broker:
        with client.connect(broker.bootstrap_servers) as c:
            c.admin.topics.create([NewTopic(SOURCE, 2, 1), *(NewTopic(name, 1, 1) for name in SINKS)]).check()
        yield broker.bootstrap_servers


def orders(chance: random.Random, start_s: int, count: int) -> Orders:
    """Of some users, some of them late, and too late; not the first ones: what is too late an application
    knows from its own records, not from those before it was started."""
    made = []
    for number in range(count):
        late_s = 0 if number < FIRST else chance.choice((0, 0, 1, 4, 12))
        at_s = start_s + number * TURN_S // count - late_s
        made.append((f"u{chance.randrange(6)}", chance.randrange(100), START_MS + at_s * 1000))
    return made


def write(c: Client, orders: Orders) -> None:
    with c.producer() as producer:
        for user, amount, at in orders:
            producer.send(SOURCE, amount.to_bytes(8), key=user.encode(), timestamp=at)
        producer.flush()


def written(c: Client) -> Outputs:
    """By topic and key all updates, in their order."""
    found: Outputs = {}
    for topic in SINKS:
        table = c.read(topic, isolation="read_committed")
        updates: Updates = defaultdict(list)
        for key, value in zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True):
            updates[key.decode()].append(None if value is None else int.from_bytes(value))
        found[topic] = dict(updates)
    return found


def expected(c: Client) -> Outputs:
    """What one application gives that is never stopped: windows of each partition by themselves."""
    found: Outputs = {topic: defaultdict(list) for topic in SINKS}
    table = c.read(SOURCE)
    columns = ("partition", "key", "value", "timestamp")
    rows = list(zip(*(table[name].to_pylist() for name in columns), strict=True))
    for partition in (0, 1):
        with TopologyTest(topology()) as t:
            for number, key, value, at in rows:
                if number == partition:
                    at_ms = round(at.timestamp() * 1000)
                    t.input(SOURCE).pipe(key.decode(), int.from_bytes(value), ts=at_ms)
            for topic in ("totals", "sessions"):
                for record in t.output(topic, Text(), Long()).read():
                    found[topic][record.key].append(record.value)
    sums: dict[str, int] = defaultdict(int)
    for _, _, value, _ in rows:
        key = f"m{int.from_bytes(value) % 3}"
        sums[key] += 1
        found["counts"][key].append(sums[key])
    return {topic: dict(updates) for topic, updates in found.items()}


def test_each_goes_on_with_the_state_that_the_other_has_written(
    servers: str, java: Callable[[Mapping[str, object]], Any], tmp_path: Path
) -> None:
    """Java, Ottla, Java, Ottla, each with a folder of its own that it finds again, behind the changelogs."""
    chance = random.Random(5)
    of_java = settings_of(servers, "shop", tmp_path / "java")
    of_ours = settings_of(servers, "shop", tmp_path / "ours")
    with client.connect(servers) as c:
        for turn in range(4):
            write(c, orders(chance, turn * TURN_S, 120))
            wanted = expected(c)
            if turn % 2 == 0:
                process = java(of_java)
                eventually(lambda: process.poll() is not None or written(c) == wanted, STARTED_S)  # noqa: B023
                assert written(c) == wanted
                refuse_ours(of_ours)
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=30)
            else:
                with Streams(topology(), of_ours) as app:
                    eventually(lambda: app.error or written(c) == wanted, 30)  # noqa: B023
                    assert written(c) == wanted
                    assert app.store("counts").get("m1").value == wanted["counts"]["m1"][-1]


def refuse_ours(settings: Mapping[str, object]) -> None:
    """While one of Java's is a member."""
    told = "members of another kind, such as those of Kafka Streams in Java"
    with Streams(topology(), settings) as app, pytest.raises(StreamsError, match=told):
        app.wait(30)


def test_java_does_not_join_our_group(
    servers: str, java: Callable[[Mapping[str, object]], Any], tmp_path: Path
) -> None:
    of_java = settings_of(servers, "apart", tmp_path / "java")
    of_ours = settings_of(servers, "apart", tmp_path / "ours")
    with Streams(topology(), of_ours) as app:
        app.wait_until_running()
        refused = java(of_java)
        assert refused.wait(STARTED_S) == 3
        assert "InconsistentGroupProtocolException" in refused.stderr.read()
        app.wait_until_running()
