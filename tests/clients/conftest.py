"""Real clients against a real broker in its own process.

By default the broker is `ottla serve` of the Python that runs the tests. Two environment variables point the
same tests elsewhere, which is how they are held against Apache Kafka:

- OTTLA_TEST_SERVE: a command to call instead, with `serve --data DIR --listen HOST:PORT [--set k=v]...`. With
  `python -m tests.clients.cluster_server` each broker is a cluster of three.
- OTTLA_TEST_BOOTSTRAP: `HOST:PORT` of a broker that runs already; tests that must control their broker skip.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka  # noqa: F401 -- reads its schemas in a way that Python 3.11 calls deprecated

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0

# Groups form at once and members may be declared dead soon, so that tests of rebalances take seconds. Some
# records are of 1970: a broker that looks for what is too old, half a minute after its start, leaves them.
FAST_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "200",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "2000",
    "log.retention.ms": "-1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "2",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}


class Broker:
    """One broker process and its data folder; it keeps its port over restarts."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._folder = folder
        self._settings = {**FAST_SETTINGS, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._port = 0

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def session_timeout_ms(self) -> int:
        """The shortest session that tests may ask for."""
        return 1000

    def start(self) -> None:
        command = shlex.split(os.environ.get("OTTLA_TEST_SERVE", f"{sys.executable} -m ottla"))
        command += ["serve", "--data", str(self._folder / "data"), "--listen", self.bootstrap]
        for name, value in self._settings.items():
            command += ["--set", f"{name}={value}"]
        self._starts += 1
        out, err = (self._folder / f"{self._starts}.{name}" for name in ("stdout", "stderr"))
        # OTTLA_* variables are settings of the broker, and not ours.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTTLA_")}
        with out.open("wb") as stdout, err.open("wb") as stderr:
            self._process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=environment)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (found := re.search(r"ready.*?127\.0\.0\.1:(\d+)", out.read_text())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"the broker did not get ready: {err.read_text()[-2000:]}")
            time.sleep(0.01)
        self._port = int(found[1])

    def stop(self) -> int:
        """Ask the broker to stop; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep connections and time, but do nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        assert self.stop() == 0
        self.start()

    def kill_and_start(self) -> None:
        self.kill()
        self.start()


class ExternalBroker:
    """A broker that somebody else runs, with settings that are not ours."""

    session_timeout_ms = 6000

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | ExternalBroker]:
    """The broker that the tests of one xdist worker share."""
    if external := os.environ.get("OTTLA_TEST_BOOTSTRAP"):
        yield ExternalBroker(external)
        return
    shared = Broker(tmp_path_factory.mktemp("broker"), {})
    shared.start()
    yield shared
    assert shared.stop() == 0


@pytest.fixture
def make_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Broker]]:
    """Start a broker of the test's own: `make_broker(**{"num.partitions": "3"})`."""
    if os.environ.get("OTTLA_TEST_BOOTSTRAP"):
        pytest.skip("needs control of the broker, and OTTLA_TEST_BOOTSTRAP names one that runs already")
    brokers: list[Broker] = []

    def make(**settings: str) -> Broker:
        own = Broker(tmp_path_factory.mktemp("own-broker"), settings)
        brokers.append(own)
        own.start()
        return own

    yield make
    for own in brokers:
        own.kill()


Cli = Callable[..., subprocess.CompletedProcess[bytes]]


def command(bootstrap: str, *arguments: str) -> dict[str, Any]:
    return {
        "args": [sys.executable, "-m", "ottla", *arguments],
        "env": {**os.environ, "OTTLA_BOOTSTRAP_SERVERS": bootstrap},
    }


@pytest.fixture
def cli(broker) -> Cli:
    """Run `ottla` and hold its exit code; errors must be lines, never tracebacks."""

    def run(*arguments: str, stdin: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
        called = command(broker.bootstrap, *arguments)
        done = subprocess.run(**called, input=stdin, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def answer(cli) -> Callable[..., Any]:
    """What a command prints with --json."""
    return lambda *arguments: json.loads(cli(*arguments, "--json").stdout)


class ConfluentClients:
    """confluent-kafka clients of one broker; settings are librdkafka's with `_` for `.`."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._consumers: list[Consumer] = []

    def producer(self, **settings: Any) -> Producer:
        return Producer(self._settings({}, settings))

    def consumer(self, group: str = "unused", **settings: Any) -> Consumer:
        defaults = {
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "fetch_wait_max_ms": 50,
        }
        consumer = Consumer(self._settings(defaults, settings))
        self._consumers.append(consumer)
        return consumer

    def admin(self) -> AdminClient:
        return AdminClient(self._settings({}, {}))

    def _settings(self, defaults: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        chosen = {name.replace("_", "."): value for name, value in {**defaults, **settings}.items()}
        return {"bootstrap.servers": self.bootstrap, **chosen}

    def produce(self, producer: Producer, topic: str, records: list[dict[str, Any]]) -> list[Message]:
        """Produce and wait; the messages in the order of their reports. The first error is raised."""
        reports: list[tuple[KafkaError | None, Message]] = []
        for record in records:
            producer.produce(topic, on_delivery=lambda *report: reports.append(report), **record)
        assert producer.flush(30) == 0
        if errors := [error for error, _ in reports if error is not None]:
            raise KafkaException(errors[0])
        return [message for _, message in reports]

    def read(self, consumer: Consumer, count: int, timeout_s: float = 30) -> list[Message]:
        messages: list[Message] = []
        deadline = time.monotonic() + timeout_s
        while len(messages) < count and time.monotonic() < deadline:
            for message in consumer.consume(count - len(messages), timeout=1):
                if message.error():
                    raise KafkaException(message.error())
                messages.append(message)
        assert len(messages) == count
        return messages

    def read_from(
        self, topic: str, count: int, offset: int = 0, partition: int = 0, **settings: Any
    ) -> list[Message]:
        consumer = self.consumer(**settings)
        consumer.assign([TopicPartition(topic, partition, offset)])
        messages = self.read(consumer, count)
        consumer.close()
        return messages

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.close()


@pytest.fixture
def confluent_at() -> Iterator[Callable[[Broker | ExternalBroker], ConfluentClients]]:
    """confluent-kafka clients of a broker, closed after the test."""
    made: list[ConfluentClients] = []

    def at(broker: Broker | ExternalBroker) -> ConfluentClients:
        made.append(ConfluentClients(broker.bootstrap))
        return made[-1]

    yield at
    for clients in made:
        clients.close()


@pytest.fixture
def confluent(
    broker: Broker | ExternalBroker, confluent_at: Callable[..., ConfluentClients]
) -> ConfluentClients:
    """confluent-kafka clients of the shared broker."""
    return confluent_at(broker)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def new_name() -> Callable[[str], str]:
    """A name that no other test uses, for a topic, a group or a client."""
    return unique


@pytest.fixture
def make_topic(broker: Broker | ExternalBroker) -> Callable[..., str]:
    """Create a topic on the shared broker, or on `at`, and answer its name."""

    def make(partitions: int = 1, config: dict[str, str] | None = None, at: Any = None) -> str:
        name = unique("topic")
        admin = AdminClient({"bootstrap.servers": (at or broker).bootstrap})
        new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
        admin.create_topics([new])[name].result(30)
        eventually(lambda: name in admin.list_topics(timeout=10).topics)
        return name

    return make


def eventually(condition: Callable[[], Any], timeout_s: float = 90.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)
    return answer


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    """Wait until a condition holds: rebalances and deletions take a moment after their answer."""
    return eventually
