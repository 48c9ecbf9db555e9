"""Syslog in, over UDP and TCP."""

from __future__ import annotations

import datetime as dt
import logging.handlers
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.platform.connect.services import polled

from ottla.connect.connectors.syslog.messages import parsed
from ottla.connect.connectors.syslog.source import SyslogSourceConnector
from ottla.connect.data import Struct
from ottla.connect.errors import ConnectError
from ottla.connect.records import SourceRecord
from ottla.connect.testing import SourceKit

NOW = dt.datetime(2024, 1, 15, tzinfo=dt.UTC)
NEW = "<165>1 2003-10-11T22:14:15.003Z host app 42 ID47 "
ELEMENT = r'[x@1 a="1" b="q\"\]\\"]'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{NEW}{ELEMENT}[y] \ufeffhéllo", (
            "RFC5424", 20, 5, "2003-10-11T22:14:15.003000+00:00", "host", "app", "42", "ID47",
            {"x@1": {"a": "1", "b": 'q"]\\'}, "y": {}}, "héllo")),
        ("<34>1 - - - - - -", ("RFC5424", 4, 2, None, None, None, None, None, {}, "")),
        ("<13>1 2024-01-01T01:00:00+02:00 h a - - - m", (
            "RFC5424", 1, 5, "2023-12-31T23:00:00+00:00", "h", "a", None, None, {}, "m")),
        ("<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed", (
            "RFC3164", 4, 2, "2023-10-11T22:14:15+00:00", "mymachine", "su", "12", None, {},
            "'su root' failed")),
        ("<34>Jan  5 22:14:15 h no tag", (
            "RFC3164", 4, 2, "2024-01-05T22:14:15+00:00", "h", None, None, None, {}, "no tag")),
        ("<13>app: text", ("RFC3164", 1, 5, None, None, "app", None, None, {}, "text")),
        ("<999>1 - - x", ("UNKNOWN", 1, 5, None, None, None, None, None, {}, "<999>1 - - x")),
        ("plain", ("UNKNOWN", 1, 5, None, None, None, None, None, {}, "plain")),
    ],
)  # fmt: skip
def test_messages_are_read_as_both_rfcs_have_them(text: str, said: tuple[Any, ...]) -> None:
    message = parsed(text, NOW)
    assert (*message[:3], None if message.date is None else message.date.isoformat(), *message[4:]) == said


@given(st.text(alphabet='<>0123456789 -[]="\\:aJn\ufeff\n', max_size=60), st.booleans())
def test_anything_is_a_message(text: str, is_new: bool) -> None:
    message = parsed(NEW + text if is_new else text, NOW)
    assert message.message in NEW + text


def source(**settings: str) -> SourceKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    fixed = {"syslog.listen.address": "127.0.0.1", "syslog.port": "0", "topic": "logs"}
    return SourceKit(SyslogSourceConnector, {**fixed, **named})


def value(record: SourceRecord, name: str) -> object:
    assert isinstance(record.value, Struct)
    return record.value[name]


def test_pythons_own_handler_is_heard() -> None:
    with source().running() as task:
        handler = logging.handlers.SysLogHandler(("127.0.0.1", task.task.port))
        handler.emit(logging.makeLogRecord({"msg": "app[7]: disk füll", "levelname": "ERROR"}))
        handler.close()
        (record,) = polled(task, 1)
    names = ("type", "facility", "level", "appName", "processId", "message")
    assert [value(record, name) for name in names] == [
        "RFC3164", 1, 3, "app", "7", "disk füll",
    ]  # fmt: skip
    assert (record.topic, record.key, value(record, "remoteAddress")) == ("logs", "127.0.0.1", "127.0.0.1")


def test_both_framings_of_tcp_and_pieces_of_them() -> None:
    with source(syslog_listener="tcp", syslog_queue_max_size="2").running() as task:
        with socket.create_connection(("127.0.0.1", task.task.port)) as client:
            client.sendall(b"<13>one: 1\n<13>two: 2\r\n\n11 <13>three: ")
            client.sendall(b"12 <13>fo\nur: 4" + b"<13>five: 5")
        records = polled(task, 5)
    assert [value(one, "message") for one in records] == ["1", "2", "", "fo\nur: 4", "5"]
    with source(syslog_listener="tcp").running() as task:
        with socket.create_connection(("127.0.0.1", task.task.port)) as client:
            client.sendall(b"<13>a: 1\n9999999 ")
            client.settimeout(60)
            assert client.recv(1) == b""  # too large: the connection is closed
        assert len(polled(task, 1)) == 1


def test_what_is_wrong_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(ConnectError, match=f"syslog.port={port}: .*in use"):
            source(syslog_port=str(port)).run()
    with pytest.raises(ConnectError, match="needs syslog.ssl.certificate.location"):
        source(syslog_listener="TCPSSL").run()
