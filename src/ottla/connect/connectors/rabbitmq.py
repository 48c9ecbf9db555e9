"""RabbitMQ in and out: Confluent's RabbitMQSourceConnector and RabbitMQSinkConnector."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ottla.connect.connectors.base import BuiltInSinkConnector, BuiltInSourceConnector, Checks, needs
from ottla.connect.connectors.payloads import key_text, named, to_bytes
from ottla.connect.connectors.sinks import TargetError, WritingSinkTask, batch_config
from ottla.connect.connectors.sources import PollingSourceTask
from ottla.connect.data.schemas import BYTES, OPTIONAL_STRING
from ottla.connect.data.texts import value_text
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError, RetriableError
from ottla.connect.records import ConnectHeaders, SinkRecord, SourceRecord
from ottla.connect.sdk import Config, Produced, SinkTask, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, Between, NonEmptyList, NonEmptyString, OneOfIgnoringCase

__all__ = ["RabbitMQSinkConnector", "RabbitMQSourceConnector"]

_WAIT_S: Final = 0.2
_PROPERTIES: Final = (
    "content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "message_id", "type",
    "user_id", "app_id",
)  # fmt: skip


def _connection_config() -> ConfigDef:
    return (
        ConfigDef()
        .define("rabbitmq.host", ConfigType.STRING, "localhost", Importance.HIGH, "The server.",
                validator=NonEmptyString(), group="Connection", order=1)
        .define("rabbitmq.port", ConfigType.INT, 5672, Importance.MEDIUM, "Its port.",
                validator=Between(1, 65535), group="Connection", order=2)
        .define("rabbitmq.username", ConfigType.STRING, "guest", Importance.HIGH, "Who connects.",
                group="Connection", order=3)
        .define("rabbitmq.password", ConfigType.PASSWORD, "guest", Importance.HIGH, "That user's password.",
                group="Connection", order=4)
        .define("rabbitmq.virtual.host", ConfigType.STRING, "/", Importance.HIGH, "The virtual host.",
                group="Connection", order=5)
        .define("rabbitmq.connection.timeout.ms", ConfigType.INT, 60_000, Importance.LOW,
                "How long connecting may take.",
                validator=AtLeast(1), group="Connection", order=6)
        .define("rabbitmq.requested.heartbeat.seconds", ConfigType.INT, 60, Importance.LOW,
                "How long nothing may be said; 0: as long as it likes.",
                validator=AtLeast(0), group="Connection", order=7)
        .define("rabbitmq.security.protocol", ConfigType.STRING, "PLAINTEXT", Importance.MEDIUM,
                "Whether with TLS.",
                validator=OneOfIgnoringCase("PLAINTEXT", "SSL"), group="Connection", order=8)
        .define("ssl.ca.location", ConfigType.STRING, None, Importance.MEDIUM,
                "A file with the authorities whose signatures count (PEM).",
                group="Connection", order=9)
        .define("ssl.certificate.location", ConfigType.STRING, None, Importance.MEDIUM,
                "A file with the certificate that the server asks for, and its key (PEM).",
                group="Connection", order=10)
    )  # fmt: skip


def _parameters(settings: Settings) -> Any:
    """pika's. ConfigError."""
    try:
        import pika
    except ImportError as error:
        raise needs("pika", "connect-rabbitmq", error) from error
    password = settings.secret("rabbitmq.password")
    timeout_s = settings.integer("rabbitmq.connection.timeout.ms") / 1000
    return pika.ConnectionParameters(
        host=settings.string("rabbitmq.host"),
        port=settings.integer("rabbitmq.port"),
        virtual_host=settings.string("rabbitmq.virtual.host"),
        credentials=pika.PlainCredentials(
            settings.string("rabbitmq.username"), "" if password is None else password.value
        ),
        heartbeat=settings.integer("rabbitmq.requested.heartbeat.seconds"),
        socket_timeout=timeout_s,
        stack_timeout=timeout_s,
        blocked_connection_timeout=timeout_s,
        ssl_options=_secured(settings),
    )


def _secured(settings: Settings) -> Any:
    import pika

    if settings.string("rabbitmq.security.protocol").upper() == "PLAINTEXT":
        return None
    try:
        context = ssl.create_default_context(cafile=settings.optional_string("ssl.ca.location"))
        certificate = settings.optional_string("ssl.certificate.location")
        if certificate:
            context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ssl.ca.location, ssl.certificate.location: {error}") from None
    return pika.SSLOptions(context, settings.string("rabbitmq.host"))


@contextlib.contextmanager
def _guarded(what: str) -> Iterator[None]:
    """Errors of the library as Connect's: what the server refuses for good is TargetError."""
    from pika import exceptions as of_pika

    try:
        yield
    except (of_pika.AMQPError, OSError) as error:
        text = f"{what}: {type(error).__name__} {error}".strip()
        refused = isinstance(error, of_pika.ProbableAuthenticationError | of_pika.AuthenticationError
                             | of_pika.ProbableAccessDeniedError)  # fmt: skip
        code = (
            error.reply_code if isinstance(error, of_pika.ChannelClosed | of_pika.ConnectionClosed) else None
        )
        if refused or code in (403, 404, 406, 530):  # not allowed, no such queue, another kind of queue
            raise TargetError(text) from error
        raise RetriableError(text) from error


class RabbitMQSourceConnector(BuiltInSourceConnector):
    """Messages of queues, which the server forgets when they are in Kafka."""

    kafka_name = "io.confluent.connect.rabbitmq.RabbitMQSourceConnector"

    def config(self) -> ConfigDef:
        return (
            _connection_config()
            .define("rabbitmq.queue", ConfigType.LIST, REQUIRED, Importance.HIGH, "The queues.",
                    validator=NonEmptyList(), group="Queues", order=1)
            .define("rabbitmq.prefetch.count", ConfigType.INT, 500, Importance.MEDIUM,
                    "How many messages are on their way at a time, at most.",
                    validator=Between(1, 65535), group="Queues", order=2)
            .define("kafka.topic", ConfigType.STRING, REQUIRED, Importance.HIGH, "The topic they go to.",
                    validator=NonEmptyString(), group="Queues", order=3)
        )  # fmt: skip

    def checks(self) -> Checks:
        return {"rabbitmq.host": _parameters}

    def task_class(self) -> type[SourceTask]:
        return RabbitMQSourceTask

    def task_configs(self, max_tasks: int) -> Sequence[Config]:
        return [self.started_with] * max_tasks  # the server shares a queue's messages


class RabbitMQSourceTask(PollingSourceTask):
    """One channel for all queues."""

    kafka_name = "io.confluent.connect.rabbitmq.RabbitMQSourceTask"
    connector = RabbitMQSourceConnector

    def connect(self, settings: Settings, config: Config) -> None:  # noqa: ARG002
        self._parameters = _parameters(settings)
        self._connection: Any = None
        self._channel: Any = None
        self._number = 0
        """Of the connection: what came over another one is not acknowledged over this one"""
        self._is_cancelled = False
        self._arrived: list[SourceRecord] = []
        self._done: deque[tuple[int, int]] = deque()

    def read(self) -> Sequence[SourceRecord]:
        try:
            with _guarded("RabbitMQ cannot be read"):
                if self._connection is None:
                    self._open()
                self._acknowledge()
                self._connection.process_data_events(0 if self._arrived else _WAIT_S)
                if self._is_cancelled:  # nothing more would come
                    raise RetriableError("the server cancelled a consumer: its queue was deleted or moved")
        except ConnectError:
            self._close()
            raise
        records, self._arrived = self._arrived, []
        return records

    def _open(self) -> None:
        import pika

        self._number += 1
        self._is_cancelled = False
        self._arrived = []
        self._connection = pika.BlockingConnection(self._parameters)
        self._channel = self._connection.channel()
        self._channel.basic_qos(prefetch_count=self.settings.integer("rabbitmq.prefetch.count"))
        self._channel.add_on_cancel_callback(self._cancelled)
        for name in self.settings.list("rabbitmq.queue"):
            self._channel.basic_consume(name, lambda *given, name=name: self._came(name, *given[1:]))

    def _cancelled(self, _told: object) -> None:
        self._is_cancelled = True

    def _came(self, queue: str, method: Any, properties: Any, body: bytes) -> None:
        headers = ConnectHeaders()
        for name, value in (("exchange", method.exchange), ("routing.key", method.routing_key)):
            headers.add(f"rabbitmq.{name}", value, OPTIONAL_STRING)
        for name in _PROPERTIES:
            value = getattr(properties, name)
            if value is not None:
                headers.add(f"rabbitmq.{name.replace('_', '.')}", value, OPTIONAL_STRING)
        for name, value in (properties.headers or {}).items():
            headers.add(name, _plain(value))
        key = properties.message_id
        self._arrived.append(
            SourceRecord(
                {"queue": queue},
                {"connection": self._number, "tag": method.delivery_tag},
                self.settings.string("kafka.topic"),
                key_schema=None if key is None else OPTIONAL_STRING,
                key=key,
                value_schema=BYTES,
                value=body,
                timestamp=None if properties.timestamp is None else properties.timestamp * 1000,
                headers=headers,
            )
        )

    def commit_record(self, record: SourceRecord, produced: Produced | None) -> None:  # noqa: ARG002
        """In another thread than the channel's, which takes them with the next poll."""
        number, tag = record.source_offset["connection"], record.source_offset["tag"]
        assert isinstance(number, int)
        assert isinstance(tag, int)  # as made above
        self._done.append((number, tag))

    def _acknowledge(self) -> None:
        while self._done:
            number, tag = self._done.popleft()
            if number == self._number:
                self._channel.basic_ack(tag)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            with contextlib.suppress(ConnectError), _guarded("closing"):
                self._acknowledge()
                connection.close()

    def stop(self) -> None:
        if hasattr(self, "_parameters"):
            self._close()


def _plain(value: Any) -> Any:
    """A header's value as one of Connect's."""
    if isinstance(value, dt.datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    return value if isinstance(value, bool | int | float | str | bytes | None.__class__) else str(value)


class RabbitMQSinkConnector(BuiltInSinkConnector):
    """Records' values as messages, each confirmed by the server. One without a value is left out."""

    kafka_name = "io.confluent.connect.rabbitmq.sink.RabbitMQSinkConnector"

    def config(self) -> ConfigDef:
        return batch_config(
            _connection_config()
            .define("rabbitmq.exchange", ConfigType.STRING, "", Importance.HIGH,
                    "The exchange; the default one, which knows queues by their names, without.",
                    group="Messages", order=1)
            .define("rabbitmq.routing.key", ConfigType.STRING, "${topic}", Importance.HIGH,
                    "`${topic}`, `${partition}` and `${key}` are filled in.",
                    group="Messages", order=2)
            .define("rabbitmq.delivery.mode", ConfigType.STRING, "PERSISTENT", Importance.LOW,
                    "Whether the server keeps messages on its disk.",
                    validator=OneOfIgnoringCase("PERSISTENT", "TRANSIENT"), group="Messages", order=3)
            .define("rabbitmq.forward.kafka.key", ConfigType.BOOLEAN, False, Importance.LOW,
                    "Whether a message's correlation id is the record's key.",
                    group="Messages", order=4)
            .define("rabbitmq.forward.kafka.metadata", ConfigType.BOOLEAN, False, Importance.LOW,
                    "Whether headers have topic, partition, offset and timestamp.",
                    group="Messages", order=5)
            .define("rabbitmq.forward.kafka.headers", ConfigType.BOOLEAN, False, Importance.LOW,
                    "Whether the record's headers are the message's, as texts.",
                    group="Messages", order=6),
            batch=500,
        )  # fmt: skip

    def checks(self) -> Checks:
        return {"rabbitmq.host": _parameters}

    def task_class(self) -> type[SinkTask]:
        return RabbitMQSinkTask


class RabbitMQSinkTask(WritingSinkTask):
    """One message after the other, each confirmed."""

    kafka_name = "io.confluent.connect.rabbitmq.sink.RabbitMQSinkTask"
    connector = RabbitMQSinkConnector

    def connect(self, settings: Settings) -> None:
        self._parameters = _parameters(settings)
        self._connection: Any = None
        self._channel: Any = None

    def batches(self, records: Sequence[SinkRecord]) -> Sequence[Sequence[SinkRecord]]:
        return [[record] for record in records if record.value is not None]

    def write(self, batch: Sequence[SinkRecord]) -> None:
        import pika

        record = batch[0]
        properties, routing = (
            self._properties(record),
            named(self.settings.string("rabbitmq.routing.key"), record),
        )
        body, exchange = (
            to_bytes(record.value_schema, record.value),
            self.settings.string("rabbitmq.exchange"),
        )
        try:
            with _guarded("RabbitMQ did not take a message"):
                self._open()
                try:
                    self._channel.basic_publish(exchange, routing, body, properties, mandatory=True)
                except pika.exceptions.UnroutableError:
                    raise ConnectError(f"no queue takes messages of {exchange!r} for {routing!r}") from None
                except pika.exceptions.ShortStringTooLong:
                    raise DataError("a routing key or a header's name has more than 255 bytes") from None
        except (RetriableError, TargetError):
            self._close()
            raise

    def _open(self) -> None:
        import pika

        if self._connection is None:
            self._connection = pika.BlockingConnection(self._parameters)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()

    def _properties(self, record: SinkRecord) -> Any:
        import pika

        settings = self.settings
        headers: dict[str, object] = {}
        if settings.boolean("rabbitmq.forward.kafka.headers"):
            headers = {each.key: value_text(each.schema, each.value) for each in record.headers}
        if settings.boolean("rabbitmq.forward.kafka.metadata"):
            headers |= {"kafka.topic": record.topic, "kafka.partition": record.partition,
                        "kafka.offset": record.offset, "kafka.timestamp": record.timestamp}  # fmt: skip
        forwards = settings.boolean("rabbitmq.forward.kafka.key") and record.key is not None
        is_kept = settings.string("rabbitmq.delivery.mode").upper() == "PERSISTENT"
        key = key_text(record) if forwards else None
        if len((key or "").encode()) > 255:
            raise DataError("the record's key has more than 255 bytes, which no correlation id may have")
        return pika.BasicProperties(
            delivery_mode=2 if is_kept else 1, correlation_id=key, headers=headers or None
        )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            with contextlib.suppress(ConnectError), _guarded("closing"):
                connection.close()

    def put(self, records: Sequence[SinkRecord]) -> None:
        if not records and self._connection is not None:  # nothing came for a while: heartbeats
            try:
                with _guarded("the connection is lost"):
                    self._connection.process_data_events(0)
            except ConnectError:
                self._close()
        super().put(records)

    def stop(self) -> None:
        if hasattr(self, "_parameters"):
            self._close()
