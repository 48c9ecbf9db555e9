import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.connection import CommandError
from ottla.cli.produce import Input, Tally, read_lines, send
from ottla.cli.progress import Progress


class Trickle(io.BytesIO):
    """A pipe that gives a few bytes at a time."""

    def read1(self, size: int | None = -1) -> bytes:
        return super().read(3)


@given(st.binary(max_size=50), st.booleans())
def test_lines_are_the_files(data, is_trickling):
    file = Trickle(data) if is_trickling else io.BytesIO(data)
    lines = list(read_lines(file))
    ending = b"\n" if data.endswith(b"\n") else b""
    assert b"\n".join(lines) + ending == data
    assert b"\n" not in b"".join(lines)


def records(lines, is_json=False, key_separator=None, **common):
    return list(Input(is_json, False, key_separator, common).records(lines))


def test_a_line_is_a_value():
    assert records([b"a", b""], partition=1) == [(b"a", {"partition": 1}), (b"", {"partition": 1})]


def test_a_line_with_a_key():
    assert records([b"k:v:w", b":"], key_separator=b":") == [(b"v:w", {"key": b"k"}), (b"", {"key": b""})]
    with pytest.raises(CommandError, match="line 2: there is no ':'"):
        records([b"k:v", b"kv"], key_separator=b":")


def test_a_line_of_json_comes_before_what_is_common():
    lines = [b'{"value": "v", "partition": 3}', b'{"key": "k"}']
    assert records(lines, is_json=True, partition=1) == [
        (b"v", {"partition": 3, "key": None}),
        (None, {"partition": 1, "key": b"k"}),
    ]
    with pytest.raises(CommandError, match="line 2: no JSON"):
        records([b"{}", b"{"], is_json=True)


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
