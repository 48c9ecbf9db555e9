"""Syslog into topics: Confluent's SyslogSourceConnector."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from ottla.connect.connectors.base import BuiltInSourceConnector, Checks
from ottla.connect.connectors.sources import Inbox, PollingSourceTask
from ottla.connect.connectors.syslog.messages import parsed
from ottla.connect.data.logical import TIMESTAMP, millis_of_timestamp
from ottla.connect.data.schema import Struct
from ottla.connect.data.schemas import INT32, OPTIONAL_STRING, STRING, map_of, struct_of
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Config, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, Between, NonEmptyString, OneOfIgnoringCase

__all__ = ["SyslogSourceConnector", "SyslogSourceTask"]

_log: Final = logging.getLogger(__name__)

SCHEMA: Final = struct_of(
    {
        "type": STRING,
        "facility": INT32,
        "level": INT32,
        "date": TIMESTAMP.replace(optional=True),
        "host": OPTIONAL_STRING,
        "appName": OPTIONAL_STRING,
        "processId": OPTIONAL_STRING,
        "messageId": OPTIONAL_STRING,
        "structuredData": map_of(STRING, map_of(STRING, STRING)),
        "message": STRING,
        "rawMessage": STRING,
        "remoteAddress": STRING,
    },
    name="io.confluent.syslog.Message",
)
_MAX_MESSAGE: Final = 64 << 10
_MAX_CONNECTIONS: Final = 256
_READ: Final = 1 << 16
_WAIT_S: Final = 0.2


class _Arrived(NamedTuple):
    data: bytes
    host: str
    port: int


class SyslogSourceConnector(BuiltInSourceConnector):
    """Messages that are sent here, as RFC 5424 and RFC 3164 have them; keys are their hosts.

    Over TCP one may have its length in front of it, or a new line behind it (RFC 6587). Who sends over TCP
    waits while there is no room; over UDP what has no room is lost, which the log says.
    """

    kafka_name = "io.confluent.connect.syslog.SyslogSourceConnector"

    def config(self) -> ConfigDef:
        return (
            ConfigDef()
            .define("syslog.listener", ConfigType.STRING, "UDP", Importance.HIGH, "How messages come.",
                    validator=OneOfIgnoringCase("UDP", "TCP", "TCPSSL"), group="Syslog", order=1)
            .define("syslog.port", ConfigType.INT, 3514, Importance.HIGH, "Where to; 0 for any port.",
                    validator=Between(0, 65535), group="Syslog", order=2)
            .define("syslog.listen.address", ConfigType.STRING, "0.0.0.0", Importance.MEDIUM,  # noqa: S104
                    "At which of this machine's addresses.",
                    validator=NonEmptyString(), group="Syslog", order=3)
            .define("syslog.queue.max.size", ConfigType.INT, 10_000, Importance.LOW,
                    "How many messages are kept until they are polled for.",
                    validator=AtLeast(1), group="Syslog", order=4)
            .define("syslog.queue.batch.size", ConfigType.INT, 1000, Importance.LOW,
                    "How many records a poll gives at most.",
                    validator=AtLeast(1), group="Syslog", order=5)
            .define("syslog.ssl.certificate.location", ConfigType.STRING, None, Importance.MEDIUM,
                    "With TCPSSL: a file with the certificate, and its key unless that has a file (PEM).",
                    group="Syslog", order=6)
            .define("syslog.ssl.key.location", ConfigType.STRING, None, Importance.MEDIUM,
                    "With TCPSSL: a file with the key (PEM).",
                    group="Syslog", order=7)
            .define("topic", ConfigType.STRING, REQUIRED, Importance.HIGH, "The topic that messages go to.",
                    validator=NonEmptyString(), group="Syslog", order=8)
        )  # fmt: skip

    def checks(self) -> Checks:
        return {"syslog.ssl.certificate.location": _secured}

    def task_class(self) -> type[SourceTask]:
        return SyslogSourceTask


def _secured(settings: Settings) -> ssl.SSLContext | None:
    if settings.string("syslog.listener").upper() != "TCPSSL":
        return None
    certificate = settings.optional_string("syslog.ssl.certificate.location")
    if certificate is None:
        raise ConfigError("syslog.listener=TCPSSL needs syslog.ssl.certificate.location")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, settings.optional_string("syslog.ssl.key.location"))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"syslog.ssl.certificate.location={certificate}: {error}") from None
    return context


class SyslogSourceTask(PollingSourceTask):
    """One port, for as long as the task runs."""

    kafka_name = "io.confluent.connect.syslog.SyslogSourceTask"
    connector = SyslogSourceConnector

    def connect(self, settings: Settings, config: Config) -> None:  # noqa: ARG002
        self._inbox: Inbox[_Arrived] = Inbox(settings.integer("syslog.queue.max.size"))
        self._is_stopping = threading.Event()
        self._lost = 0
        is_udp = settings.string("syslog.listener").upper() == "UDP"
        self._context = _secured(settings)
        self._socket = self._bound(settings, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
        self.port: int = self._socket.getsockname()[1]
        self._connections = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._start(self._datagrams if is_udp else self._accept)

    def _bound(self, settings: Settings, kind: socket.SocketKind) -> socket.socket:
        address, port = settings.string("syslog.listen.address"), settings.integer("syslog.port")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, kind)
        try:
            if kind is socket.SOCK_STREAM:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            if kind is socket.SOCK_STREAM:
                listener.listen()
        except OSError as error:
            listener.close()
            raise ConnectError(f"syslog.listen.address={address}, syslog.port={port}: {error}") from error
        listener.settimeout(_WAIT_S)
        return listener

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, name="syslog", daemon=True).start()

    def _datagrams(self) -> None:
        while not self._is_stopping.is_set():
            try:
                data, (host, port, *_) = self._socket.recvfrom(_MAX_MESSAGE)
            except TimeoutError:
                continue
            except OSError:
                return  # closed
            if not self._inbox.offer(_Arrived(data, host, port)):
                self._lost += 1

    def _accept(self) -> None:
        while not self._is_stopping.is_set():
            try:
                connection, (host, port, *_) = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return  # closed
            if self._connections.acquire(blocking=False):
                self._start(self._receive, connection, host, port)
            else:
                _log.warning("%s is turned away: there are %d connections", host, _MAX_CONNECTIONS)
                connection.close()

    def _receive(self, connection: socket.socket, host: str, port: int) -> None:
        try:
            connection.settimeout(_WAIT_S)
            if self._context is not None:
                connection.settimeout(10)
                connection = self._context.wrap_socket(connection, server_side=True)
                connection.settimeout(_WAIT_S)
            for data in _frames(self._pieces(connection)):
                self._inbox.put(_Arrived(data, host, port))
        except (OSError, ValueError) as error:
            _log.warning("the connection of %s is closed: %s", host, error)
        finally:
            connection.close()
            self._connections.release()

    def _pieces(self, connection: socket.socket) -> Iterator[bytes]:
        while not self._is_stopping.is_set():
            with contextlib.suppress(TimeoutError):
                data = connection.recv(_READ)
                if not data:
                    return
                yield data

    def read(self) -> Sequence[SourceRecord]:
        lost, self._lost = self._lost, 0
        if lost:
            _log.warning("%d messages are lost: syslog.queue.max.size is reached", lost)
        now = dt.datetime.now(dt.UTC)
        arrived = self._inbox.take(self.settings.integer("syslog.queue.batch.size"))
        return [self._record(each, now) for each in arrived]

    def _record(self, arrived: _Arrived, now: dt.datetime) -> SourceRecord:
        text = arrived.data.decode("utf-8", "replace").rstrip("\r\n\0")
        said = parsed(text, now)
        value = Struct(SCHEMA, {
            "type": said.type, "facility": said.facility, "level": said.level, "date": said.date,
            "host": said.host, "appName": said.app_name, "processId": said.process_id,
            "messageId": said.message_id, "structuredData": said.structured_data, "message": said.message,
            "rawMessage": text, "remoteAddress": arrived.host,
        })  # fmt: skip
        return SourceRecord(
            {"host": arrived.host}, {"port": arrived.port}, self.settings.string("topic"),
            key_schema=STRING, key=said.host or arrived.host, value_schema=SCHEMA, value=value,
            timestamp=millis_of_timestamp(said.date or now),
        )  # fmt: skip

    def stop(self) -> None:
        if hasattr(self, "_socket"):
            self._is_stopping.set()
            self._inbox.close()
            self._socket.close()


def _frames(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Messages of a connection (RFC 6587). ValueError for one that is too large."""
    kept = b""
    for piece in pieces:
        kept += piece
        while kept:
            size, blank, rest = kept[:8].partition(b" ")
            if size.isdigit() and blank:
                length = int(size)
                if length > _MAX_MESSAGE:
                    raise ValueError(f"a message of {length} bytes")
                if len(kept) < len(size) + 1 + length:
                    break
                start = len(size) + 1
                yield kept[start : start + length]
                kept = kept[start + length :]
                continue
            line, newline, rest = kept.partition(b"\n")
            if not newline:
                if len(kept) > _MAX_MESSAGE:
                    raise ValueError(f"a message of more than {_MAX_MESSAGE} bytes")
                break
            if line.strip(b"\r\0"):
                yield line
            kept = rest
    if kept.strip(b"\r\n\0") and not kept[:1].isdigit():
        yield kept  # the last one, whose sender has gone
