"""`ottla produce`: lines of a file or of standard input, each a record."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ottla.cli.connection import NAME, CommandError, Connection, connected, explain
from ottla.cli.progress import Progress, progress_option
from ottla.cli.records import from_json, parse_headers, unescape

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
READ_SIZE = 1 << 20
TOPIC_WAIT_S = 10.0
FLUSH_STEP_S = 0.2
INTERRUPTED_FLUSH_S = 10.0

# A value, and the other arguments of Producer.produce().
Sendable = tuple[bytes | None, dict[str, Any]]


@dataclass(slots=True)
class Tally:
    """What became of the records."""

    sent: int = 0
    sent_bytes: int = 0
    failed: int = 0
    first_failure: str = ""

    def on_delivery(self, error: KafkaError | None, _message: Any) -> None:
        """Called for failures alone (`delivery.report.only.error`)."""
        if error is not None:
            self.failed += 1
            self.first_failure = self.first_failure or explain(error)


@dataclass(frozen=True, slots=True)
class Input:
    """How a line becomes a record."""

    is_json: bool
    use_base64: bool
    key_separator: bytes | None
    common: dict[str, Any]  # what every record has unless it says otherwise

    def records(self, lines: Iterable[bytes]) -> Iterator[Sendable]:
        if self.is_json:
            return self._parsed(lines, self._from_json)
        if self.key_separator is not None:
            return self._parsed(lines, self._with_key)
        return zip(lines, itertools.repeat(self.common))

    def _parsed(self, lines: Iterable[bytes], parse: Callable[[bytes], Sendable]) -> Iterator[Sendable]:
        for number, line in enumerate(lines, 1):
            try:
                yield parse(line)
            except ValueError as error:
                raise CommandError(f"line {number}: {error}") from error

    def _from_json(self, line: bytes) -> Sendable:
        arguments = {**self.common, **from_json(line, use_base64=self.use_base64)}
        return arguments.pop("value"), arguments

    def _with_key(self, line: bytes) -> Sendable:
        assert self.key_separator is not None
        key, found, value = line.partition(self.key_separator)
        if not found:
            raise ValueError(f"there is no {self.key_separator.decode()!r} to end a key")
        return value, {**self.common, "key": key}


@click.command()
@click.argument("topic", type=NAME)
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="text: a line is a value. json: a line is an object with value, key, headers, partition, timestamp.",
)
@click.option("--key-separator", metavar="TEXT", help=r"In text, what ends the key of a line, such as '\t'.")
@click.option("--base64", "use_base64", is_flag=True, help="In JSON, keys, values and headers are base64.")
@click.option("--partition", type=click.IntRange(min=0), help="Send records to this partition.")
@click.option("--header", "headers", metavar="NAME=VALUE", multiple=True, help="A header; repeatable.")
@click.option(
    "--acks",
    type=click.Choice(["0", "1", "all"]),
    default="all",
    show_default=True,
    help="Whom to wait for: nobody, the leader, or all in-sync replicas.",
)
@click.option(
    "--compression", type=click.Choice(CODECS), default="none", show_default=True, help="Codec of batches."
)
@click.option(
    "--idempotent/--no-idempotent",
    default=True,
    show_default=True,
    help="No duplicates when a request is sent again; with --acks all.",
)
@progress_option
@connected
def produce(
    connection: Connection,
    topic: str,
    file: BinaryIO,
    kind: str,
    key_separator: str | None,
    use_base64: bool,
    partition: int | None,
    headers: tuple[str, ...],
    **sending: Any,
) -> None:
    """Send records from FILE (standard input by default) to TOPIC.

    Ends with code 1 if a record could not be delivered. Ctrl-C still sends what was read so far.
    """
    if key_separator is not None and kind == "json":
        raise click.UsageError("--key-separator is for --format text.")
    if use_base64 and kind == "text":
        raise click.UsageError("--base64 is for --format json.")
    common: dict[str, Any] = {} if partition is None else {"partition": partition}
    if headers:
        common["headers"] = parse_headers(headers)
    separator = None if key_separator is None else unescape(key_separator)
    _produce(connection, topic, file, Input(kind == "json", use_base64, separator, common), **sending)


def _produce(
    connection: Connection,
    topic: str,
    file: BinaryIO,
    source: Input,
    *,
    acks: str,
    compression: str,
    idempotent: bool,
    progress: bool | None,
) -> None:
    tally = Tally()
    producer = connection.producer(
        acks=acks,
        compression_type=compression,
        enable_idempotence=idempotent and acks == "all",
        linger_ms=20,
        queue_buffering_max_messages=500_000,
        queue_buffering_max_kbytes=256 * 1024,
        delivery_report_only_error=True,
        on_delivery=tally.on_delivery,
    )
    check_topic(producer, topic, source.common.get("partition"))
    shown = Progress(progress)
    try:
        send(producer, topic, source.records(read_lines(file)), tally, shown)
    finally:
        # Also when a line was wrong or Ctrl-C came: what was read before that is sent.
        shown_records = _flush(producer, tally, shown)
        shown.done(shown_records, tally.sent_bytes)
    if tally.failed:
        raise CommandError(
            f"{tally.failed} of {tally.sent} records were not delivered: {tally.first_failure}"
        )


def send(producer: Producer, topic: str, records: Iterable[Sendable], tally: Tally, shown: Progress) -> None:
    """Hand records to the client, waiting for it where its queue is full."""
    produce_one = producer.produce
    for value, arguments in records:
        while True:
            try:
                produce_one(topic, value, **arguments)
            except BufferError:
                producer.poll(0.05)
                shown.at(tally.sent - len(producer), tally.sent_bytes)
            else:
                break
        tally.sent += 1
        tally.sent_bytes += len(value or b"")
        if not tally.sent & 0x3FFF:
            producer.poll(0)
            shown.at(tally.sent - len(producer), tally.sent_bytes)


def _flush(producer: Producer, tally: Tally, shown: Progress) -> int:
    """Wait until every record is delivered or given up; how many were delivered. A second Ctrl-C ends it."""
    while left := producer.flush(FLUSH_STEP_S):
        shown.at(tally.sent - left, tally.sent_bytes)
    return tally.sent - tally.failed


def check_topic(producer: Producer, topic: str, partition: int | None) -> None:
    """Refuse an unknown topic or partition now, not at the delivery timeout. Asking may create the topic."""
    from confluent_kafka import KafkaError

    deadline = time.monotonic() + TOPIC_WAIT_S
    while True:
        described = producer.list_topics(topic, timeout=TOPIC_WAIT_S).topics[topic]
        if described.error is None:
            break
        being_created = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)
        if described.error.code() not in being_created or time.monotonic() > deadline:
            raise CommandError(f"{topic}: {explain(described.error)}")
        time.sleep(0.05)
    if partition is not None and partition not in described.partitions:
        raise CommandError(f"{topic} has no partition {partition}, it has {len(described.partitions)}")


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines without their ends. What follows the last line end is a line if it is not empty."""
    rest = b""
    read = getattr(file, "read1", file.read)  # what a pipe has now, not a whole buffer
    while chunk := read(READ_SIZE):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest
