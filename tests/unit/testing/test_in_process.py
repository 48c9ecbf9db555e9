"""Brokers inside a test: real clients against them, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from tests.raw_client import METADATA, connect

from ottla.broker.assembly import Broker
from ottla.config.definition import ConfigError
from ottla.replica.data_dir import DataDirError
from ottla.replica.maintenance import Maintenance
from ottla.storage.checkpoints import DirectoryLockedError
from ottla.testing import InProcessBroker, run_broker, run_broker_async

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    # It reads its schemas in a way that Python 3.11 calls deprecated.
    from kafka import KafkaConsumer, KafkaProducer


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No threads, no files in the temporary folder, and nothing that complains when it is collected."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield
    gc.collect()  # a ResourceWarning that this brings about is an error
    assert list(temporary.iterdir()) == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("ottla")] == []


def librdkafka_read(bootstrap: str, topic: str) -> bytes:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe([topic])
    try:
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        return bytes(message.value() or b"")
    finally:
        consumer.close()


def librdkafka_write(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 0})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def is_open(broker: InProcessBroker) -> bool:
    try:
        socket.create_connection((broker.host, broker.port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


# -- in a thread


def test_confluent_kafka_reads_what_it_wrote() -> None:
    with run_broker() as broker:
        librdkafka_write(broker.bootstrap_servers, "t", b"value")
        assert librdkafka_read(broker.bootstrap_servers, "t") == b"value"
    assert not is_open(broker)
    assert not Path(broker.data_dir).exists()


def test_kafka_python_reads_what_it_wrote() -> None:
    with run_broker() as broker:
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        producer.send("t", b"value").get(30)
        producer.close()
        consumer = KafkaConsumer(
            "t", bootstrap_servers=broker.bootstrap_servers, group_id="g", auto_offset_reset="earliest"
        )
        assert next(consumer).value == b"value"
        consumer.close()


def test_settings_have_kafkas_names_and_pythons_values() -> None:
    settings = {
        "num.partitions": 3,
        "log.cleanup.policy": ["compact", "delete"],
        "auto.create.topics.enable": True,
        "log.cleaner.min.cleanable.ratio": 0.25,
        "log.retention.ms": "1000",
    }
    with run_broker(settings) as broker:
        librdkafka_write(broker.bootstrap_servers, "t", b"value")
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        assert len(admin.list_topics("t", 30).topics["t"].partitions) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num.partitons": 3}, "settings: unknown setting num.partitons; did you mean num.partitions?"),
        ({"num.partitions": "x"}, "settings: Invalid value x for configuration num.partitions"),
        ({"num.partitions": None}, "settings: num.partitions: expected a string, a number, .* not None"),
        ({"log.dirs": "/elsewhere"}, "settings: log.dirs is given as data_dir"),
        ({"listeners": "nonsense"}, "settings: Invalid value nonsense for configuration listeners"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message), run_broker(settings):
        raise AssertionError("it started")


async def test_wrong_settings_are_told_in_a_loop() -> None:
    with pytest.raises(ConfigError, match="did you mean num.partitions"):
        async with run_broker_async({"num.partitons": 3}):
            raise AssertionError("it started")


def test_the_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTTLA_NO_SUCH_SETTING", "1")
    monkeypatch.setenv("OTTLA_NUM_PARTITIONS", "no number")
    with run_broker() as broker:
        assert is_open(broker)


def test_the_processs_limits_stay_what_they_are() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with run_broker() as broker:
        assert is_open(broker)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


def test_the_listener_may_be_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(OSError, match="address already in use"),
            run_broker({"listeners": f"PLAINTEXT://127.0.0.1:{port}"}),
        ):
            raise AssertionError("it started")
    with run_broker({"listeners": f"PLAINTEXT://127.0.0.1:{port}"}) as broker:
        assert broker.bootstrap_servers == f"127.0.0.1:{port}"
        assert is_open(broker)


def test_an_address_of_ipv6_is_written_as_clients_read_it() -> None:
    assert InProcessBroker("::1", 9092, "").bootstrap_servers == "[::1]:9092"


def test_a_given_folder_is_kept_and_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with run_broker(data_dir=folder) as broker:
        assert broker.data_dir == str(folder)
        librdkafka_write(broker.bootstrap_servers, "t", b"value")
    assert (folder / "t-0").is_dir()
    with run_broker(data_dir=str(folder)) as broker:
        assert librdkafka_read(broker.bootstrap_servers, "t") == b"value"
    with pytest.raises(DataDirError), run_broker({"node.id": 7}, data_dir=folder):
        raise AssertionError("it started")


def test_a_folder_in_use_is_not_used_twice(tmp_path: Path) -> None:
    with run_broker(data_dir=tmp_path / "data") as broker:
        with pytest.raises(DirectoryLockedError), run_broker(data_dir=tmp_path / "data"):
            raise AssertionError("it started")
        assert is_open(broker)


def test_two_brokers_at_once_know_nothing_of_each_other() -> None:
    with run_broker() as one, run_broker() as other:
        assert one.port != other.port
        librdkafka_write(one.bootstrap_servers, "t", b"one")
        librdkafka_write(other.bootstrap_servers, "t", b"other")
        assert librdkafka_read(one.bootstrap_servers, "t") == b"one"
        assert librdkafka_read(other.bootstrap_servers, "t") == b"other"


def test_a_failing_body_still_ends_the_broker() -> None:
    with pytest.raises(ZeroDivisionError), run_broker() as broker:
        _ = 1 / 0
    assert not is_open(broker)
    assert not Path(broker.data_dir).exists()


def test_a_failing_stop_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Broker.stop

    async def stop_and_fail(self: Broker) -> None:
        await stop(self)
        raise OSError("the disk is gone")

    monkeypatch.setattr(Broker, "stop", stop_and_fail)
    with pytest.raises(OSError, match="the disk is gone"), run_broker() as broker:
        assert is_open(broker)


def test_a_start_that_fails_late_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with run_broker(data_dir=tmp_path / "data") as broker:
        librdkafka_write(broker.bootstrap_servers, "t", b"value")
    with monkeypatch.context() as patch:
        patch.setattr(Maintenance, "start", lambda _self: 1 / 0)
        with pytest.raises(ZeroDivisionError), run_broker(data_dir=tmp_path / "data"):
            raise AssertionError("it started")
    with run_broker(data_dir=tmp_path / "data") as broker:
        assert librdkafka_read(broker.bootstrap_servers, "t") == b"value"


def test_clients_that_are_still_connected_do_not_hold_the_stop_up() -> None:
    with run_broker() as broker:
        connections = [socket.create_connection((broker.host, broker.port)) for _ in range(5)]
        connections[0].sendall(b"\0\0\1\0\0")  # the beginning of a request
    for connection in connections:
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass
        connection.close()


# -- in the running loop


async def test_aiokafka_reads_what_it_wrote_in_the_same_loop() -> None:
    async with run_broker_async() as broker:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
            await producer.send_and_wait("t", b"value")
        async with AIOKafkaConsumer(
            "t", bootstrap_servers=broker.bootstrap_servers, group_id="g", auto_offset_reset="earliest"
        ) as consumer:
            assert (await consumer.getone()).value == b"value"
    assert not is_open(broker)
    assert not Path(broker.data_dir).exists()


async def test_no_tasks_and_no_timers_are_left_in_the_loop() -> None:
    async with run_broker_async() as broker, connect(broker.host, broker.port) as client:
        await client.call(METADATA, 12, {"topics": [{"name": "t"}], "allow_auto_topic_creation": True})
        assert len(asyncio.all_tasks()) > 1
        await client.writer.drain()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_failing_body_still_ends_the_broker_in_the_loop() -> None:
    with pytest.raises(ZeroDivisionError):
        async with run_broker_async() as broker:
            _ = 1 / 0
    assert not is_open(broker)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_body_still_ends_the_broker() -> None:
    running = asyncio.Event()

    async def body() -> InProcessBroker:
        async with run_broker_async() as broker:
            brokers.append(broker)
            running.set()
            await asyncio.sleep(3600)
        return broker

    brokers: list[InProcessBroker] = []
    task = asyncio.create_task(body())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_open(brokers[0])
    assert not Path(brokers[0].data_dir).exists()


async def test_brokers_in_the_loop_and_in_a_thread_get_along() -> None:
    async with run_broker_async() as one, run_broker_async() as other:
        with run_broker() as third:
            assert len({one.port, other.port, third.port}) == 3
            for broker in (one, other, third):
                async with connect(broker.host, broker.port) as client:
                    assert (await client.call(METADATA, 12, {"topics": []}))["brokers"]


def test_a_broker_is_ready_soon(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints how long it takes; a time is not asserted, as machines differ."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        with run_broker() as broker:
            ready = time.perf_counter()
            assert is_open(broker)
        times.append((ready - began, time.perf_counter() - ready))
    with capsys.disabled():
        for what, seconds in zip(("ready", "stopped"), map(sorted, zip(*times, strict=True)), strict=True):
            print(f"\n{what} after {seconds[0] * 1000:.0f} to {seconds[-1] * 1000:.0f} ms", end="")
