"""MQTT in and out: Confluent's MqttSourceConnector and MqttSinkConnector."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ottla.connect.connectors.base import BuiltInSinkConnector, BuiltInSourceConnector, Checks, needs
from ottla.connect.connectors.payloads import named, to_bytes
from ottla.connect.connectors.sinks import TargetError, WritingSinkTask, batch_config
from ottla.connect.connectors.sources import Inbox, PollingSourceTask
from ottla.connect.data.schemas import BOOLEAN, BYTES, INT32, STRING
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError, RetriableError
from ottla.connect.records import ConnectHeaders, SinkRecord, SourceRecord
from ottla.connect.sdk import Config, Produced, SinkTask, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, Between, NonEmptyList, NonEmptyString

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo

__all__ = ["MqttSinkConnector", "MqttSourceConnector"]

_STEP_S: Final = 0.2
_PORTS: Final = {"tcp": 1883, "mqtt": 1883, "ssl": 8883, "mqtts": 8883}
_REFUSED: Final = ("Not authorized", "Bad user name or password", "Unsupported protocol version",
                   "Client identifier not valid", "Banned")  # fmt: skip


def _connection_config() -> ConfigDef:
    return (
        ConfigDef()
        .define("mqtt.server.uri", ConfigType.LIST, REQUIRED, Importance.HIGH,
                "The brokers: `tcp://host:1883`, `ssl://host:8883`; the next one is asked where one does not "
                "answer.",
                validator=NonEmptyList(), group="Connection", order=1)
        .define("mqtt.client.id", ConfigType.STRING, "", Importance.MEDIUM,
                "What the broker knows this one by.",
                group="Connection", order=2)
        .define("mqtt.username", ConfigType.STRING, None, Importance.HIGH, "Who connects.",
                group="Connection", order=3)
        .define("mqtt.password", ConfigType.PASSWORD, None, Importance.HIGH, "That user's password.",
                group="Connection", order=4)
        .define("mqtt.qos", ConfigType.INT, 0, Importance.HIGH,
                "0: at most once, 1: at least once, 2: once on the way.",
                validator=Between(0, 2), group="Connection", order=5)
        .define("mqtt.connect.timeout.seconds", ConfigType.INT, 30, Importance.LOW,
                "How long connecting, or being told that a message is there, may take.",
                validator=AtLeast(1), group="Connection", order=6)
        .define("mqtt.keepalive.interval.seconds", ConfigType.INT, 60, Importance.LOW,
                "How long nothing may be said.",
                validator=AtLeast(1), group="Connection", order=7)
        .define("ssl.ca.location", ConfigType.STRING, None, Importance.MEDIUM,
                "A file with the authorities whose signatures count (PEM).",
                group="Connection", order=8)
        .define("ssl.certificate.location", ConfigType.STRING, None, Importance.MEDIUM,
                "A file with the certificate that the broker asks for (PEM).",
                group="Connection", order=9)
        .define("ssl.key.location", ConfigType.STRING, None, Importance.MEDIUM,
                "A file with its key (PEM).",
                group="Connection", order=10)
    )  # fmt: skip


def _servers(settings: Settings) -> list[tuple[str, int, bool]]:
    """Host, port, and whether with TLS. ConfigError."""
    servers = []
    for uri in settings.list("mqtt.server.uri"):
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in _PORTS:
            raise ConfigError(f"mqtt.server.uri={uri} is none: tcp://host:1883 or ssl://host:8883")
        servers.append((host, port or _PORTS[parts.scheme], parts.scheme in ("ssl", "mqtts")))
    if len({secured for _, _, secured in servers}) > 1:
        raise ConfigError("mqtt.server.uri: all servers are with TLS (ssl://), or none")
    return servers


class _Connection:
    """A client whose network is a thread's. Lost connections are its own concern once there was one."""

    def __init__(
        self,
        settings: Settings,
        *,
        keeps_session: bool = False,
        on_each_connection: Callable[[Client], None] | None = None,
    ) -> None:
        """ConfigError."""
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise needs("paho-mqtt", "connect-mqtt", error) from error
        self._settings = settings
        self._servers = _servers(settings)
        self._answered = threading.Event()
        self._refusal: str | None = None
        self.number = 0
        """Of the connection that there is: what came over another one is not acknowledged over this one"""
        self._on_each_connection = on_each_connection
        self.client: Client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.string("mqtt.client.id"),
            clean_session=not keeps_session,
            manual_ack=True,
        )
        password = settings.secret("mqtt.password")
        if settings.optional_string("mqtt.username"):
            name = settings.string("mqtt.username")
            self.client.username_pw_set(name, None if password is None else password.value)
        if self._servers[0][2]:
            self._secure()
        self.client.on_connect = self._connected

    def _secure(self) -> None:
        text = self._settings.optional_string
        try:
            self.client.tls_set(
                text("ssl.ca.location"), text("ssl.certificate.location"), text("ssl.key.location")
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"ssl.ca.location, ssl.certificate.location, ssl.key.location: {error}"
            ) from None

    def _connected(
        self, client: Client, _data: object, _flags: object, reason: Any, _properties: object
    ) -> None:
        self._refusal = str(reason) if reason.is_failure else None
        if self._refusal is None:
            self.number += 1
            if self._on_each_connection is not None:
                self._on_each_connection(client)
        self._answered.set()

    def open(self) -> None:
        """RetriableError where no server answers, TargetError where one does not let this one in."""
        if self.client.is_connected():
            return
        failure: object = None
        for host, port, _ in self._servers:
            self.client.loop_stop()
            self._answered.clear()
            try:
                self.client.connect(host, port, self._settings.integer("mqtt.keepalive.interval.seconds"))
            except (OSError, ValueError) as error:
                failure = error
                continue
            self.client.loop_start()
            if self._answered.wait(self._settings.integer("mqtt.connect.timeout.seconds")):
                if self._refusal is None:
                    return
                failure = self._refusal
                if self._refusal in _REFUSED:
                    self.close()
                    raise TargetError(f"mqtt://{host}:{port} does not let this one in: {failure}")
            self.close()
        raise RetriableError(f"no MQTT broker answers: {failure or 'nothing in time'}")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class MqttSourceConnector(BuiltInSourceConnector):
    """Messages of MQTT's topics: keys are their topics, values their payloads.

    With `mqtt.qos=1` or 2, a `mqtt.client.id` and `mqtt.clean.session.enabled=false` the broker keeps
    messages until they are in Kafka.
    """

    kafka_name = "io.confluent.connect.mqtt.MqttSourceConnector"

    def config(self) -> ConfigDef:
        return (
            _connection_config()
            .define("mqtt.topics", ConfigType.LIST, REQUIRED, Importance.HIGH,
                    "MQTT's topics; `+` and `#` stand for any.",
                    validator=NonEmptyList(), group="Topics", order=1)
            .define("kafka.topic", ConfigType.STRING, "mqtt", Importance.HIGH,
                    "The topic that messages go to.",
                    validator=NonEmptyString(), group="Topics", order=2)
            .define("mqtt.clean.session.enabled", ConfigType.BOOLEAN, True, Importance.LOW,
                    "Whether the broker forgets this one when it goes.",
                    group="Topics", order=3)
            .define("records.buffer.queue.size", ConfigType.INT, 10_000, Importance.LOW,
                    "How many messages are kept until they are polled for; then the broker has to wait.",
                    validator=AtLeast(1), group="Topics", order=4)
            .define("batch.size", ConfigType.INT, 1000, Importance.LOW,
                    "How many records a poll gives at most.",
                    validator=AtLeast(1), group="Topics", order=5)
        )  # fmt: skip

    def checks(self) -> Checks:
        return {"mqtt.server.uri": _servers, "mqtt.client.id": _check_session}

    def task_class(self) -> type[SourceTask]:
        return MqttSourceTask


def _check_session(settings: Settings) -> None:
    if not settings.boolean("mqtt.clean.session.enabled") and not settings.string("mqtt.client.id"):
        raise ConfigError(
            "mqtt.clean.session.enabled=false needs mqtt.client.id, by which the session is known"
        )


class MqttSourceTask(PollingSourceTask):
    """One connection for all topics."""

    kafka_name = "io.confluent.connect.mqtt.MqttSourceTask"
    connector = MqttSourceConnector

    def connect(self, settings: Settings, config: Config) -> None:  # noqa: ARG002
        self._inbox: Inbox[tuple[int, MQTTMessage]] = Inbox(settings.integer("records.buffer.queue.size"))
        keeps = not settings.boolean("mqtt.clean.session.enabled")
        self._connection = _Connection(settings, keeps_session=keeps, on_each_connection=self._subscribe)
        self._connection.client.on_message = lambda _client, _data, message: self._inbox.put(
            (self._connection.number, message)
        )
        self._is_open = False

    def _subscribe(self, client: Client) -> None:
        qos = self.settings.integer("mqtt.qos")
        client.subscribe([(topic, qos) for topic in self.settings.list("mqtt.topics")])

    def read(self) -> Sequence[SourceRecord]:
        if not self._is_open:
            self._connection.open()
            self._is_open = True  # from now on the client connects anew by itself
        arrived = self._inbox.take(self.settings.integer("batch.size"))
        return [self._record(connection, message) for connection, message in arrived]

    def _record(self, connection: int, message: MQTTMessage) -> SourceRecord:
        headers = (
            ConnectHeaders()
            .add("mqtt.message.id", message.mid, INT32)
            .add("mqtt.qos", message.qos, INT32)
            .add("mqtt.retained", message.retain, BOOLEAN)
            .add("mqtt.duplicate", message.dup, BOOLEAN)
        )
        return SourceRecord(
            {"server": self.settings.list("mqtt.server.uri")[0]},
            {"topic": message.topic, "connection": connection},
            self.settings.string("kafka.topic"),
            key_schema=STRING,
            key=message.topic,
            value_schema=BYTES,
            value=message.payload,
            headers=headers,
        )

    def commit_record(self, record: SourceRecord, produced: Produced | None) -> None:  # noqa: ARG002
        """Only now the broker may forget it. Another connection may have given its number to another one."""
        if record.source_offset["connection"] != self._connection.number:
            return
        marks = [record.headers.last_with_name(name) for name in ("mqtt.message.id", "mqtt.qos")]
        mid, qos = (0 if mark is None else mark.value for mark in marks)
        if isinstance(mid, int) and isinstance(qos, int) and qos > 0:
            self._connection.client.ack(mid, qos)

    def stop(self) -> None:
        if hasattr(self, "_connection"):
            self._inbox.close()
            self._connection.close()


class MqttSinkConnector(BuiltInSinkConnector):
    """Records' values as messages. One without a value is an empty message, which ends what is retained."""

    kafka_name = "io.confluent.connect.mqtt.MqttSinkConnector"

    def config(self) -> ConfigDef:
        return batch_config(
            _connection_config()
            .define("mqtt.topic", ConfigType.STRING, "${topic}", Importance.HIGH,
                    "MQTT's topic; `${topic}`, `${partition}` and `${key}` are filled in.",
                    validator=NonEmptyString(), group="Topics", order=1)
            .define("mqtt.retained.enabled", ConfigType.BOOLEAN, True, Importance.HIGH,
                    "Whether the broker keeps a topic's last message for those who come.",
                    group="Topics", order=2),
            batch=500,
        )  # fmt: skip

    def checks(self) -> Checks:
        return {"mqtt.server.uri": _servers}

    def task_class(self) -> type[SinkTask]:
        return MqttSinkTask


class MqttSinkTask(WritingSinkTask):
    """A batch is published, then waited for."""

    kafka_name = "io.confluent.connect.mqtt.MqttSinkTask"
    connector = MqttSinkConnector

    def connect(self, settings: Settings) -> None:
        self._connection = _Connection(settings)

    def write(self, batch: Sequence[SinkRecord]) -> None:
        self._connection.open()
        qos, retained = self.settings.integer("mqtt.qos"), self.settings.boolean("mqtt.retained.enabled")
        client, told = self._connection.client, []
        for record in batch:
            try:
                topic = named(self.settings.string("mqtt.topic"), record)
                payload = None if record.value is None else to_bytes(record.value_schema, record.value)
                told.append(client.publish(topic, payload, qos, retained))
            except DataError as error:
                self.reject(record, error)
            except ValueError as error:  # wildcards in a topic, a payload that is too large
                self.reject(record, ConnectError(f"it cannot be a message of MQTT's: {error}"))
        end = time.monotonic() + self.settings.integer("mqtt.connect.timeout.seconds")
        for each in told:
            self._wait(each, end)

    def _wait(self, told: MQTTMessageInfo, end: float) -> None:
        while True:
            try:
                told.wait_for_publish(_STEP_S)
                if told.is_published():
                    return
            except (RuntimeError, ValueError) as error:
                raise RetriableError(f"a message was not published: {error}") from error
            if not self._connection.client.is_connected():
                raise RetriableError("the broker went before it said that it has a message")
            if time.monotonic() > end:
                raise RetriableError("the broker does not say in time that it has a message")

    def stop(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()
