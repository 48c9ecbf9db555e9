"""RabbitMQ in and out, beside Debian's server (with `--full`: it takes many seconds to start)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pika
import pytest
from tests.platform.connect.databases import free_port
from tests.platform.connect.services import polled, rabbitmq_server

from ottla.connect.connectors.rabbitmq import RabbitMQSinkConnector, RabbitMQSourceConnector
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.data import Value
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import Header, SinkRecord
from ottla.connect.testing import RunningTask, SinkKit, SourceKit

pytestmark = pytest.mark.xdist_group("rabbitmq")

Channel = pika.adapters.blocking_connection.BlockingChannel


@pytest.fixture(scope="module")
def port(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not pytestconfig.getoption("--full"):
        pytest.skip("RabbitMQ is started with --full")
    chosen = free_port()
    with rabbitmq_server(tmp_path_factory.mktemp("rabbitmq"), chosen):
        yield chosen


@pytest.fixture
def channel(port: int) -> Iterator[Channel]:
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))
    made = connection.channel()
    made.queue_delete("orders")
    made.queue_declare("orders")
    yield made
    connection.close()


def config(port: int, settings: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return {"rabbitmq.host": "127.0.0.1", "rabbitmq.port": str(port), **named}


def sink(port: int, **settings: str) -> SinkKit:
    return SinkKit(RabbitMQSinkConnector, config(port, settings))


def source(port: int, **settings: str) -> SourceKit:
    fixed = {"rabbitmq_queue": "orders", "kafka_topic": "all"}
    return SourceKit(RabbitMQSourceConnector, config(port, fixed | settings))


def record(key: Value, value: Value, offset: int = 0) -> SinkRecord:
    return SinkRecord("orders", 0, offset, key=key, value=value, timestamp=7, headers=[Header("h", None, 1)])


def test_messages_go_out_and_come_in(port: int, channel: Channel) -> None:
    forwards = {f"rabbitmq_forward_kafka_{name}": "true" for name in ("key", "metadata", "headers")}
    with sink(port, **forwards) as kit:
        kit.put("orders", [record("a", {"n": 1}), record("b", b"\xff", 1), record("c", None, 2)])
        kit.put("orders", [])
    kit = sink(port, rabbitmq_routing_key="nobody")
    with kit:
        kit.put("orders", [record("a", "1")])
        assert "no queue takes messages of '' for 'nobody'" in str(kit.errant[0][1])
    channel.basic_publish(
        "", "orders", b"x", pika.BasicProperties(message_id="m", timestamp=5, headers={"l": [1]})
    )
    kit_in = source(port)
    with kit_in.running() as task:
        records = polled(task, 3)
        task.commit()
        task.poll()  # which acknowledges
    values = [(None, b'{"n":1}'), (None, b"\xff"), ("m", b"x")]
    assert [(one.key, one.value) for one in records] == values
    headers = {header.key: header.value for header in records[0].headers}
    assert headers == {
        "rabbitmq.exchange": "", "rabbitmq.routing.key": "orders", "rabbitmq.correlation.id": "a", "h": "1",
        "kafka.topic": "orders", "kafka.partition": 0, "kafka.offset": 0, "kafka.timestamp": 7,
    }  # fmt: skip
    assert records[2].timestamp == 5000
    assert channel.queue_declare("orders", passive=True).method.message_count == 0


def test_what_is_not_in_kafka_yet_comes_again(port: int, channel: Channel) -> None:
    for n in range(3):
        channel.basic_publish("", "orders", str(n).encode())
    kit = source(port)
    with kit.running() as task:
        assert len(polled(task, 3)) == 3
    with kit.running() as task:
        assert [one.value for one in polled(task, 3)] == [b"0", b"1", b"2"]
        task.commit()
    assert channel.queue_declare("orders", passive=True).method.message_count == 0


def test_what_a_server_refuses_is_no_records_fault(port: int, channel: Channel) -> None:
    with pytest.raises(TargetError, match="no queue 'missing'"):
        source(port, rabbitmq_queue="missing").run()
    with (
        sink(port, rabbitmq_exchange="missing") as kit,
        pytest.raises(TargetError, match="no exchange 'missing'"),
    ):
        kit.put("orders", [record("a", "1")])
    with sink(port, rabbitmq_password="wrong") as kit, pytest.raises(TargetError, match="Authentication"):
        kit.put("orders", [record("a", "1")])


def test_a_queue_that_is_deleted_is_told(port: int, channel: Channel) -> None:
    with source(port).running() as task:
        task.poll()
        channel.queue_delete("orders")
        with pytest.raises(RetriableError, match="cancelled a consumer"):
            wait_for_error(task)
        with pytest.raises(TargetError, match="no queue 'orders'"):
            task.poll()


def wait_for_error(task: RunningTask) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        task.poll()


def test_a_key_that_is_too_long_is_told_alone(port: int, channel: Channel) -> None:
    with sink(port, rabbitmq_routing_key="${key}") as kit:
        kit.put("orders", [record("k" * 256, "a"), record("orders", "b", 1)])
        assert [(one.offset, "255 bytes" in str(error)) for one, error in kit.errant] == [(0, True)]
    assert channel.basic_get("orders", auto_ack=True)[2] == b"b"


def test_a_server_that_is_away_is_asked_again() -> None:
    with sink(1) as kit, pytest.raises(RetriableError, match="RabbitMQ did not take a message"):
        kit.put("orders", [record("a", "1")])
    with pytest.raises(RetriableError, match="cannot be read"):
        source(1).run()
    with pytest.raises(ConnectError, match="rabbitmq.port"):
        source(70_000).run()
