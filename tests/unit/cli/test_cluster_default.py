import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from ottla.cli.cluster_default import alter, describe
from ottla.cli.connection import CommandError, Connection


class OneAnswer(threading.Thread):
    """A broker that answers the first request with what it was given, and keeps the request."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.answer = answer
        self.request = b""

    @property
    def connection(self) -> Connection:
        return Connection(f"127.0.0.1:{self.listening.getsockname()[1]}", (("client.id", "c"),))

    def run(self) -> None:
        client = self.listening.accept()[0]
        with client, client.makefile("rb") as received:
            (size,) = struct.unpack(">i", received.read(4))
            self.request = received.read(size)
            client.sendall(self.answer)


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], OneAnswer]]:
    brokers = []

    def start(answer: bytes) -> OneAnswer:
        brokers.append(OneAnswer(answer))
        brokers[-1].start()
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.join(10)
        broker.listening.close()


def framed(body: bytes) -> bytes:
    """After correlation id and throttle time: one result."""
    frame = struct.pack(">iii", 0, 0, 1) + body
    return struct.pack(">i", len(frame)) + frame


GOOD = struct.pack(">hhbh", 0, -1, 4, 0)
CONFIG = b"\0\x01a" + b"\0\x02\xc3\xa9" + struct.pack(">bbb", 0, 3, 0)
SYNONYMS = struct.pack(">i", 1) + b"\0\x01a" + b"\0\x02\xc3\xa9" + b"\x03"
SECRET = b"\0\x01b" + b"\xff\xff" + struct.pack(">bbb", 1, 3, 1) + struct.pack(">i", 0)


def test_configs_are_described(answering):
    broker = answering(framed(GOOD + struct.pack(">i", 2) + CONFIG + SYNONYMS + SECRET))
    assert describe(broker.connection) == [("a", "é", 3, False), ("b", None, 3, True)]
    broker.join()
    assert broker.request == b"\0\x20\0\x01\0\0\0\0" + b"\0\x01c" + b"\0\0\0\x01\x04\0\0\xff\xff\xff\xff\0"


def test_configs_are_changed(answering):
    broker = answering(framed(GOOD))
    alter(broker.connection, {"a": "é"}, ["b"], validate_only=True)
    broker.join()
    head = b"\0\x2c\0\0\0\0\0\0" + b"\0\x01c" + b"\0\0\0\x01\x04\0\0"
    assert (
        broker.request == head + b"\0\0\0\x02" + b"\0\x01a\0\0\x02\xc3\xa9" + b"\0\x01b\x01\xff\xff" + b"\x01"
    )


def test_a_refusal_is_told(answering):
    broker = answering(framed(struct.pack(">hh", 40, 3) + b"why" + b"\x04\0\0"))
    with pytest.raises(CommandError, match="^all brokers: why$"):
        alter(broker.connection, {"a": "1"}, [], validate_only=False)
    broker = answering(framed(struct.pack(">hh", 29, -1) + b"\x04\0\0"))
    with pytest.raises(CommandError, match="^all brokers: .*uthorization failed"):
        alter(broker.connection, {"a": "1"}, [], validate_only=False)


WHOLE = framed(GOOD + struct.pack(">i", 1) + CONFIG + SYNONYMS)


@pytest.mark.parametrize("answer", [WHOLE[:cut] for cut in range(len(WHOLE))], ids=len)
def test_an_answer_that_is_cut(answering, answer):
    with pytest.raises(CommandError, match="the broker did not answer|the broker's answer cannot be"):
        describe(answering(answer).connection)


@pytest.mark.parametrize("size", [-1, 0, 7, 2**31 - 1])
def test_an_answer_of_a_size_that_none_has(answering, size):
    with pytest.raises(CommandError, match=f"the broker's answer would have {size} bytes"):
        describe(answering(struct.pack(">i", size)).connection)


def test_arrays_that_say_more_than_there_is(answering):
    with pytest.raises(CommandError, match="cannot be understood"):
        describe(answering(framed(GOOD + b"\x7f\xff\xff\xff" + CONFIG)).connection)


def test_what_cannot_be_asked():
    with pytest.raises(CommandError, match="cannot be reached over SASL_SSL, only over plaintext"):
        describe(Connection("127.0.0.1:1", (("security.protocol", "SASL_SSL"),)))
    with pytest.raises(CommandError, match="at most 32,767 bytes"):
        alter(Connection("127.0.0.1:1"), {"a": "x" * 40_000}, [], validate_only=False)
