"""Kafka's Java programs that read and write in transactions, killed over and over: each line counts once."""

from __future__ import annotations

import collections
import itertools
import json
import random
import re
import shutil
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.brokers import free_port
from bench.kafka.install import Kafka, KafkaUnavailableError, install
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from tests.differential.brokers import KAFKA_VERSION

SOURCES = Path(__file__).parent / "java"
TIMEOUT_S = 60
STALLED_S, FULL_S = 240, 1800
TRANSACTION_TIMEOUT_MS = 5000
JVM = ("-Xmx256m", "-XX:TieredStopAtLevel=1")  # the lesser compiler: these processes live for seconds
SETTINGS = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "group.min.session.timeout.ms": "500",
}
STREAMS = {
    "processing.guarantee": "exactly_once_v2",
    "commit.interval.ms": 50,
    "num.stream.threads": 2,
    "statestore.cache.max.bytes": 0,  # a record for each occurrence of a word
    "default.key.serde": "org.apache.kafka.common.serialization.Serdes$StringSerde",
    "default.value.serde": "org.apache.kafka.common.serialization.Serdes$StringSerde",
    "main.consumer.session.timeout.ms": 3000,
    "main.consumer.heartbeat.interval.ms": 500,
    "producer.transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
}
CONNECT = {
    "exactly.once.source.support": "enabled",
    "config.storage.replication.factor": 1,
    "offset.storage.replication.factor": 1,
    "status.storage.replication.factor": 1,
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "plugin.discovery": "only_scan",
    "session.timeout.ms": 3000,
    "heartbeat.interval.ms": 500,
}

pytestmark = pytest.mark.skipif(shutil.which("javac") is None, reason="needs javac, of Java 17 or newer")


@pytest.fixture(scope="module")
def jars() -> Kafka:
    """Kafka's clients, tools and Streams."""
    try:
        return install(KAFKA_VERSION, pom=SOURCES / "pom.xml", name="kafka-streams")
    except KafkaUnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def compiled(jars: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the classes of the programs beside this file."""
    classes = tmp_path_factory.mktemp("classes")
    sources = [str(path) for path in SOURCES.glob("*.java")]
    command = ["javac", "-proc:none", "-d", str(classes), "-cp", f"{jars.jars}/*", *sources]
    done = subprocess.run(command, capture_output=True, text=True, timeout=STALLED_S, check=False)
    assert done.returncode == 0, done.stderr
    return classes


class Program:
    """A process that is ended as roughly as can be; what it prints is kept for when it fails."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._command, self._output = command, folder / f"output-{random.getrandbits(64):x}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def has_ended(self) -> bool:
        """Whether it has done all that it was to do; fails where it gave up."""
        assert self._process is not None
        code = self._process.poll()
        assert not code, f"{code}: {self._output.read_text(errors='replace')[-3000:]}"
        return code == 0


@pytest.fixture
def program(jars: Kafka, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Makes a process of a Java class; killed after the test."""
    made: list[Program] = []

    def make(main_class: str, *arguments: str, classes: Path | None = None) -> Program:
        command = jars.command(main_class, *arguments, heap=(*JVM, f"-Djava.io.tmpdir={tmp_path}"))
        if classes is not None:
            command[command.index("-cp") + 1] += f":{classes}"
        made.append(Program(tmp_path, command))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def real_lines(count: int) -> list[bytes]:
    """Lines of Python's library, over again where it has fewer; UTF-8, as the programs read strings."""
    files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    lines = (line for path in itertools.cycle(files) for line in path.read_bytes().splitlines())
    return list(
        itertools.islice((line for line in lines if line.decode(errors="ignore").encode() == line), count)
    )


class Readers:
    """Two views of a topic: what is in its log, and what a read_committed reader sees."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._everything, self._committed = (
            Consumer(
                {
                    "bootstrap.servers": bootstrap,
                    "group.id": "unused",
                    "isolation.level": isolation,
                    "enable.partition.eof": True,
                }
            )
            for isolation in ("read_uncommitted", "read_committed")
        )
        self._partitions = [TopicPartition(topic, index, 0) for index in range(partitions)]

    def ends(self) -> list[int]:
        """The high watermark of each partition."""
        return [self._everything.get_watermark_offsets(each, TIMEOUT_S)[1] for each in self._partitions]

    def stable_ends(self) -> list[int]:
        """The last stable offset of each partition."""
        return [self._committed.get_watermark_offsets(each, TIMEOUT_S)[1] for each in self._partitions]

    def committed(self) -> list[list[Message]]:
        """All that is committed now, of each partition in its order."""
        found: list[list[Message]] = [[] for _ in self._partitions]
        ended: set[int | None] = set()
        self._committed.assign(self._partitions)
        last_s = time.monotonic()
        while len(ended) < len(found):
            messages = self._committed.consume(1000, 0.1)  # it waits for all of them
            last_s = time.monotonic() if messages else last_s
            assert time.monotonic() < last_s + TIMEOUT_S, "the reader stands still"
            for message in messages:
                if message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    ended.add(message.partition())
                else:
                    found[message.partition()].append(message)
        return found

    def close(self) -> None:
        self._everything.close()
        self._committed.close()


@pytest.fixture
def readers() -> Iterator[Callable[..., Readers]]:
    """Makes a topic's readers, which are closed after the test."""
    made: list[Readers] = []

    def make(bootstrap: str, topic: str, partitions: int) -> Readers:
        made.append(Readers(bootstrap, topic, partitions))
        return made[-1]

    yield make
    for each in made:
        each.close()


def killed_over_and_over(running: Program, progress: Callable[[], int], kills: int, total: int) -> None:
    """Kills and starts a program anew, each time once it has got on by some part of `total`."""
    for _ in range(kills):
        wanted = progress() + random.randrange(1, total // kills)
        deadline = time.monotonic() + STALLED_S
        while progress() < wanted:
            assert not running.has_ended(), "it was too fast to be killed"
            assert time.monotonic() < deadline, "nothing more is written"
            time.sleep(0.01)
        running.kill()
        running.start()


def produce(bootstrap: str, topic: str, partitions: list[list[bytes]]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 10_000_000})
    for partition, lines in enumerate(partitions):
        for line in lines:
            producer.produce(topic, line, partition=partition)
    assert producer.flush(STALLED_S) == 0


def written(file: Path, settings: dict[str, Any]) -> Path:
    """A file of Java properties."""
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return file


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_copies_each_line_once_while_one_worker_is_killed(
    make_broker, make_topic, new_name, program, readers, eventually, pytestconfig
):
    """TransactionalMessageCopier, one for each partition: the copy is the same, byte for byte."""
    full = pytestconfig.getoption("--full")
    count, kills, size = (1_000_000, 25, 100) if full else (10_000, 2, 5)
    at = make_broker(**SETTINGS)
    source, sink, group = make_topic(2, at=at), make_topic(2, at=at), new_name("group")
    lines = real_lines(count)
    wanted = [lines[: count // 2], lines[count // 2 :]]
    produce(at.bootstrap, source, wanted)
    watched = readers(at.bootstrap, sink, 2)
    workers = [
        program(
            "org.apache.kafka.tools.TransactionalMessageCopier",
            "--broker-list", at.bootstrap, "--input-topic", source, "--input-partition", str(index),
            "--output-topic", sink, "--consumer-group", group, "--transactional-id", f"{group}-{index}",
            "--transaction-size", str(size), "--transaction-timeout", str(TRANSACTION_TIMEOUT_MS),
            "--use-group-metadata",
        )
        for index in range(2)
    ]  # fmt: skip
    for worker in workers:
        worker.start()
    killed_over_and_over(workers[0], lambda: watched.ends()[0], kills, count // 2)
    eventually(lambda: all(worker.has_ended() for worker in workers), FULL_S if full else STALLED_S)
    eventually(lambda: watched.stable_ends() == watched.ends())
    copied = [[message.value() for message in messages] for messages in watched.committed()]
    assert copied == wanted


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_streams_counts_each_word_once_while_it_is_killed(
    make_broker, make_topic, new_name, program, readers, eventually, compiled, pytestconfig, tmp_path
):
    """Kafka Streams with exactly_once_v2: every word's counts go up one by one, to how often it is there."""
    full = pytestconfig.getoption("--full")
    count, kills = (20_000, 10) if full else (1_000, 2)
    at = make_broker(**SETTINGS)
    source, sink = make_topic(2, at=at), make_topic(2, at=at)
    lines = [b" ".join(re.findall(rb"\w+", line)) for line in real_lines(count * 2)]
    lines = [line for line in lines if line][:count]
    words = collections.Counter(word for line in lines for word in line.split())
    produce(at.bootstrap, source, [lines[::2], lines[1::2]])
    settings = {
        **STREAMS,
        "bootstrap.servers": at.bootstrap,
        "application.id": new_name("count"),
        "state.dir": tmp_path / "state",
    }
    file = written(tmp_path / "streams.properties", settings)
    watched = readers(at.bootstrap, sink, 2)
    counting = program("WordCount", str(file), source, sink, classes=compiled)
    counting.start()
    killed_over_and_over(counting, lambda: sum(watched.ends()), kills, words.total())

    def counts() -> dict[bytes, list[int]]:
        assert not counting.has_ended()
        found: dict[bytes, list[int]] = collections.defaultdict(list)
        for message in itertools.chain(*watched.committed()):
            found[message.key()].append(int(message.value()))
        return found

    eventually(lambda: sum(map(len, counts().values())) >= words.total(), FULL_S if full else STALLED_S)
    assert counts() == {word: list(range(1, often + 1)) for word, often in words.items()}
    eventually(lambda: watched.stable_ends() == watched.ends())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_connect_has_each_line_of_a_file_once_while_its_worker_is_killed(
    make_broker, make_topic, new_name, program, readers, eventually, compiled, pytestconfig, tmp_path
):
    """Kafka Connect with exactly.once.source.support: the topic has the lines of the file, in their order."""
    full = pytestconfig.getoption("--full")
    count, kills = (500_000, 10) if full else (20_000, 1)
    at = make_broker(**SETTINGS)
    sink, name, port = make_topic(1, at=at), new_name("connect"), free_port()
    lines = [line for line in real_lines(count) if not re.search(rb"[\r\f\v]", line)]
    (tmp_path / "lines").write_bytes(b"\n".join(lines) + b"\n")
    settings = {
        **CONNECT,
        "bootstrap.servers": at.bootstrap,
        "listeners": f"http://127.0.0.1:{port}",
        "group.id": name,
        **{f"{what}.storage.topic": f"{name}-{what}" for what in ("config", "offset", "status")},
    }
    file = written(tmp_path / "connect.properties", settings)
    watched = readers(at.bootstrap, sink, 1)
    connect = "org.apache.kafka.connect.cli.ConnectDistributed"
    worker = program(connect, str(file), classes=compiled)
    worker.start()
    config = {
        "connector.class": "LinesSource",
        "topic": sink,
        "file": str(tmp_path / "lines"),
        # In very short ones the Java producer may send the end before the records, and then give up.
        "transaction.boundary": "interval",
        "transaction.boundary.interval.ms": 50,
        "producer.override.transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/connectors/lines/config",
        json.dumps(config).encode(),
        {"Content-Type": "application/json"},
        method="PUT",
    )

    def is_made() -> bool:
        assert not worker.has_ended()
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.status == 201
        except OSError:  # it does not listen yet, or has not joined its group
            return False

    eventually(is_made, STALLED_S)
    killed_over_and_over(worker, lambda: watched.ends()[0], kills, len(lines))
    eventually(lambda: len(watched.committed()[0]) >= len(lines), FULL_S if full else STALLED_S)
    assert [message.value() for message in watched.committed()[0]] == lines
    assert watched.ends()[0] > len(lines)  # the markers of its transactions
    eventually(lambda: watched.stable_ends() == watched.ends())
