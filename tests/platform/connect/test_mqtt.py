"""MQTT in and out, beside Debian's mosquitto."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.platform.connect.databases import free_port
from tests.platform.connect.services import mosquitto, polled

from ottla.connect.connectors.mqtt import MqttSinkConnector, MqttSourceConnector
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.data import Value
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.testing import SinkKit, SourceKit

pytestmark = pytest.mark.xdist_group("mqtt")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    chosen = free_port()
    with mosquitto(tmp_path_factory.mktemp("mosquitto"), chosen):
        yield chosen


def sink(port: int, **settings: str) -> SinkKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return SinkKit(
        MqttSinkConnector, {"mqtt.server.uri": f"tcp://127.0.0.1:{port}", "mqtt.qos": "1", **named}
    )


def source(port: int, **settings: str) -> SourceKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    config = {"mqtt.server.uri": f"tcp://127.0.0.1:{port}", "mqtt.qos": "1", "kafka.topic": "all"}
    return SourceKit(MqttSourceConnector, {**config, **named})


def record(key: Value, value: Value, offset: int = 0) -> SinkRecord:
    return SinkRecord("sensors", 0, offset, key=key, value=value)


def test_messages_go_out_and_come_in(port: int) -> None:
    with source(port, mqtt_topics="sensors/+,other").running() as task:
        assert task.poll() == []
        with sink(port, mqtt_topic="${topic}/${key}") as kit:
            kit.put("sensors", [record("a", {"t": 1}, 0), record(2, b"\0\xff", 1), record("a", None, 2),
                                record(None, "x", 3), record("#", "x", 4)])  # fmt: skip
            assert [one.offset for one, _ in kit.errant] == [3, 4]
        records = polled(task, 3)
        task.commit()
    assert sorted((one.key, one.value) for one in records) == [
        ("sensors/2", b"\0\xff"), ("sensors/a", b""), ("sensors/a", b'{"t":1}'),
    ]  # fmt: skip
    assert records[0].topic == "all"
    assert {header.key: header.value for header in records[0].headers}["mqtt.qos"] == 1


def test_what_is_not_in_kafka_yet_comes_again(port: int) -> None:
    settings = {"mqtt_topics": "kept/#", "mqtt_client_id": "ottla", "mqtt_clean_session_enabled": "false"}
    kit = source(port, **settings)
    with kit.running() as task:
        task.poll()
        with sink(port, mqtt_topic="kept/${key}", mqtt_retained_enabled="false") as out:
            out.put("sensors", [record("a", "1")])
            assert [one.value for one in polled(task, 1)] == [b"1"]  # and is not committed
            out.put("sensors", [record("b", "2", 1)])
    with kit.running() as task:
        assert [one.value for one in polled(task, 2)] == [b"1", b"2"]
        task.task._connection.number += 1  # as after another connection, which they come over again
        task.commit()
    with kit.running() as task:
        assert [one.value for one in polled(task, 2)] == [b"1", b"2"]
        task.commit()
    with kit.running() as task:
        assert task.poll(polls=2) == []
    with pytest.raises(ConnectError, match="needs mqtt.client.id"):
        source(port, mqtt_topics="a", mqtt_clean_session_enabled="false").run()


def test_a_broker_that_is_away_is_asked_again(tmp_path: Path) -> None:
    away = free_port()
    with sink(away, retry_backoff_ms="1") as kit:
        with pytest.raises(RetriableError, match="no MQTT broker answers"):
            kit.put("sensors", [record("a", "1")])
        with mosquitto(tmp_path, away):
            kit.put("sensors", [record("a", "1")])
            with source(away, mqtt_topics="sensors").running() as task:
                assert polled(task, 1)[0].value == b"1"  # it was retained
        with pytest.raises(RetriableError):
            kit.put("sensors", [record("a", "1")])
    with pytest.raises(RetriableError):
        source(away, mqtt_topics="sensors").run()
    with pytest.raises(ConnectError, match=r"mqtt.server.uri=http://host.*tcp://host:1883"):
        source(away, mqtt_topics="a", mqtt_server_uri="http://host").run()


def test_a_wrong_password_is_no_records_fault(tmp_path: Path) -> None:
    users: Any = tmp_path / "users"
    made = subprocess.run(["mosquitto_passwd", "-b", "-c", users, "me", "secret"], check=False)
    assert made.returncode == 0
    closed = free_port()
    with mosquitto(tmp_path, closed, "allow_anonymous false", f"password_file {users}"):
        with sink(closed, mqtt_username="me", mqtt_password="secret") as kit:
            kit.put("sensors", [record("a", "1")])
        wrong = sink(closed, mqtt_username="me", mqtt_password="wrong")
        with wrong as kit, pytest.raises(TargetError, match="does not let this one in"):
            kit.put("sensors", [record("a", "1")])
