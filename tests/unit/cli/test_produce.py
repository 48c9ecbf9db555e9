import io
import json

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.connection import CommandError
from ottla.cli.produce import Input, Tally, finish, read_lines, send
from ottla.cli.progress import Progress


class Trickle(io.BytesIO):
    """A pipe that gives a few bytes at a time."""

    def read1(self, size: int | None = -1) -> bytes:
        return super().read(3)


@given(st.binary(max_size=50), st.booleans())
def test_lines_are_the_files(data, is_trickling):
    file = Trickle(data) if is_trickling else io.BytesIO(data)
    lines = list(read_lines(file, 50))
    ending = b"\n" if data.endswith(b"\n") else b""
    assert b"\n".join(lines) + ending == data
    assert b"\n" not in b"".join(lines)


def held_bytes(size, is_ended):
    """A line of so many bytes through a pipe; how many bytes were read of it before it was refused."""
    file = Trickle(b"one\ntwo\n" + b"x" * size + b"\n" * is_ended)
    lines = read_lines(file, 1000)
    assert [next(lines), next(lines)] == [b"one", b"two"]
    with pytest.raises(CommandError, match=r"^line 3 has more than 1,000 bytes \(-X message.max.bytes=N "):
        next(lines)
    return file.tell() - 8


@pytest.mark.parametrize("is_ended", [True, False])
def test_no_more_of_a_line_is_read_than_a_record_may_have(is_ended):
    assert held_bytes(1001, is_ended) <= 1004
    assert held_bytes(1_000_000, is_ended) <= 1004


@pytest.mark.parametrize("size", [999, 1000])
def test_a_line_as_long_as_a_record(size):
    assert list(read_lines(Trickle(b"x" * size), 1000)) == [b"x" * size]


def test_a_long_line_is_put_together_once():
    """Joined once, at its end: each byte is copied a fixed number of times, however a pipe gives it."""

    class Chunk(bytes):
        def __radd__(self, other):
            raise AssertionError("what is held was copied for each read")

    class Pipe(io.BytesIO):
        def read1(self, size=-1):
            return Chunk(super().read1(10))

    assert list(read_lines(Pipe(b"x" * 100 + b"\ny"), 100)) == [b"x" * 100, b"y"]


def records(lines, is_json=False, key_separator=None, **common):
    return list(Input(is_json, False, key_separator, common).records(lines))


def test_a_line_is_a_value():
    assert records([b"a", b""], partition=1) == [
        (1, b"a", {"partition": 1}),
        (2, b"", {"partition": 1}),
    ]


def test_a_line_with_a_key():
    assert records([b"k:v:w", b":"], key_separator=b":") == [
        (1, b"v:w", {"key": b"k"}),
        (2, b"", {"key": b""}),
    ]
    with pytest.raises(CommandError, match="line 2: there is no ':'"):
        records([b"k:v", b"kv"], key_separator=b":")
    with pytest.raises(CommandError, match=r"line 1: there is no '\\xff' to end a key"):
        records([b"\xc3\xbf"], key_separator=b"\xff")


def test_a_line_of_json_comes_before_what_is_common():
    lines = [b'{"value": "v", "partition": 3}', b'{"key": "k"}']
    assert records(lines, is_json=True, partition=1) == [
        (1, b"v", {"partition": 3, "key": None}),
        (2, None, {"partition": 1, "key": b"k"}),
    ]
    with pytest.raises(CommandError, match="line 2: no JSON"):
        records([b"{}", b"{"], is_json=True)


def test_blank_lines_between_json_are_left_out_but_counted():
    lines = [b"", b'{"value": "a"}', b" \t\r", b'{"value": "b"}']
    assert [(number, value) for number, value, _ in records(lines, is_json=True)] == [(2, b"a"), (4, b"b")]
    with pytest.raises(CommandError, match="line 3: no JSON"):
        records([b"{}", b"", b"{"], is_json=True)


def test_lines_may_be_as_long_as_their_records_need():
    record = b"\xff" * 1000
    line = json.dumps({"value": record.decode(errors="surrogateescape")})
    assert 1000 < len(line) <= Input(True, False, None, {}).line_max_bytes(1000)
    assert Input(False, False, None, {}).line_max_bytes(1000) == 1000


def test_what_the_client_refuses_is_told_with_its_line():
    class Refusing:
        def produce(self, topic, value, **_):
            if value == b"b":
                raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))

    tally = Tally()
    with pytest.raises(CommandError, match=r"^line 2: Message size too large \(-X message.max.bytes=N "):
        send(Refusing(), "t", records([b"a", b"b", b"c"]), tally, Progress(False))
    assert tally.sent == 1


class NarrowProducer:
    """Has room for two records until it is polled."""

    def __init__(self) -> None:
        self.queued: list[bytes] = []
        self.sent: list[bytes] = []

    def produce(self, topic: str, value: bytes, **_: object) -> None:
        if len(self.queued) == 2:
            raise BufferError
        self.queued.append(value)

    def poll(self, timeout: float) -> None:
        self.sent += self.queued
        self.queued.clear()

    def __len__(self) -> int:
        return len(self.queued)


def test_a_full_queue_is_waited_for():
    producer, tally = NarrowProducer(), Tally()
    values = [b"%d" % n for n in range(9)]
    send(producer, "t", records(values), tally, Progress(False))
    producer.poll(0)
    assert producer.sent == values
    assert (tally.sent, tally.sent_bytes) == (9, 9)


class GoneCluster:
    """Never delivers, and is interrupted at the second wait."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.waits = 0

    def flush(self, timeout: float) -> int:
        self.waits += 1
        if self.waits == 2:
            raise KeyboardInterrupt
        return self.left

    def poll(self, timeout: float) -> None:
        """Has nothing to tell."""

    def __len__(self) -> int:
        return self.left


@pytest.mark.parametrize(
    ("failure", "reason"), [("", "it was not waited for"), ("Message timed out", "Message timed out")]
)
def test_what_is_lost_is_told_however_it_ends(capsys, failure, reason):
    tally = Tally(sent=5, failed=1, first_failure=failure)
    with pytest.raises(KeyboardInterrupt):
        finish(GoneCluster(2), tally, Progress(False))
    assert capsys.readouterr().err == f"ottla: 3 of 5 records were not delivered: {reason}\n"


def test_nothing_is_told_where_nothing_is_lost(capsys):
    finish(GoneCluster(0), Tally(sent=5), Progress(False))
    assert capsys.readouterr().err == ""
