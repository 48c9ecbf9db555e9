"""`ottla produce`: lines of a file or of standard input, each a record."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ottla.cli.arguments import HEADER, NAME, PARTITION, SEPARATOR
from ottla.cli.connection import CommandError, Connection, connected, explain
from ottla.cli.progress import Progress, progress_option
from ottla.cli.records import from_json

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
READ_SIZE = 1 << 20
JSON_LINE_OVERHEAD = 64 * 1024  # for what is no content
TOPIC_WAIT_S = 10.0
FLUSH_STEP_S = 0.2
HOW_TO_SEND_MORE = "-X message.max.bytes=N allows more"

# A value, and the other arguments of Producer.produce(); before them, the number of the line.
Parsed = tuple[bytes | None, dict[str, Any]]
Sendable = tuple[int, bytes | None, dict[str, Any]]


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
            blank_ones_left_out = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
            return self._parsed(blank_ones_left_out, self._from_json)
        if self.key_separator is not None:
            return self._parsed(enumerate(lines, 1), self._with_key)
        return zip(itertools.count(1), lines, itertools.repeat(self.common))

    def line_max_bytes(self, record_max_bytes: int) -> int:
        """How long the line of a record can be."""
        if not self.is_json:
            return record_max_bytes
        # JSON escapes a byte as six characters; the least header has two bytes, and twelve characters.
        return 6 * record_max_bytes + JSON_LINE_OVERHEAD

    def _parsed(
        self, lines: Iterable[tuple[int, bytes]], parse: Callable[[bytes], Parsed]
    ) -> Iterator[Sendable]:
        for number, line in lines:
            try:
                value, arguments = parse(line)
            except ValueError as error:
                raise CommandError(f"line {number}: {error}") from error
            yield number, value, arguments

    def _from_json(self, line: bytes) -> Parsed:
        arguments = {**self.common, **from_json(line, use_base64=self.use_base64)}
        return arguments.pop("value"), arguments

    def _with_key(self, line: bytes) -> Parsed:
        assert self.key_separator is not None
        key, found, value = line.partition(self.key_separator)
        if not found:
            raise ValueError(f"there is no {str(self.key_separator)[1:]} to end a key")
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
@click.option("--key-separator", type=SEPARATOR, help=r"In text, what ends the key of a line, such as '\t'.")
@click.option("--base64", "use_base64", is_flag=True, help="In JSON, keys, values and headers are base64.")
@click.option("--partition", type=PARTITION, help="Send records to this partition.")
@click.option(
    "--header", "headers", type=HEADER, metavar="NAME=VALUE", multiple=True, help="A header; repeatable."
)
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
    key_separator: bytes | None,
    use_base64: bool,
    partition: int | None,
    headers: tuple[tuple[str, bytes | None], ...],
    **sending: Any,
) -> None:
    """Send records from FILE (standard input by default) to TOPIC.

    Ends with code 1 if a record could not be delivered. Ctrl-C still sends what was read so far.
    """
    if key_separator is not None and kind == "json":
        raise click.UsageError("--key-separator is for --format text.")
    if key_separator == b"":
        raise click.UsageError("--key-separator is empty.")
    if use_base64 and kind == "text":
        raise click.UsageError("--base64 is for --format json.")
    common: dict[str, Any] = {} if partition is None else {"partition": partition}
    if headers:
        common["headers"] = list(headers)
    _produce(connection, topic, file, Input(kind == "json", use_base64, key_separator, common), **sending)


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
        lines = read_lines(file, source.line_max_bytes(connection.record_max_bytes))
        send(producer, topic, source.records(lines), tally, shown)
    finally:
        # Also when a line was wrong or Ctrl-C came: what was read before that is sent.
        finish(producer, tally, shown)
    if tally.failed:
        raise click.exceptions.Exit(1)


def send(producer: Producer, topic: str, records: Iterable[Sendable], tally: Tally, shown: Progress) -> None:
    """Hand records to the client, waiting for it where its queue is full."""
    from confluent_kafka import KafkaException

    produce_one = producer.produce
    for number, value, arguments in records:
        while True:
            try:
                produce_one(topic, value, **arguments)
            except BufferError:
                producer.poll(0.05)
                shown.at(tally.sent - len(producer), tally.sent_bytes)
            except KafkaException as error:
                raise CommandError(f"line {number}: {_refusal(error.args[0])}") from error
            else:
                break
        tally.sent += 1
        tally.sent_bytes += len(value or b"")
        if not tally.sent & 0x3FFF:
            producer.poll(0)
            shown.at(tally.sent - len(producer), tally.sent_bytes)


def _refusal(error: KafkaError) -> str:
    """Why the client takes no record that is like this."""
    told = explain(error)
    return f"{told} ({HOW_TO_SEND_MORE})" if error.code() == error.MSG_SIZE_TOO_LARGE else told


def finish(producer: Producer, tally: Tally, shown: Progress) -> None:
    """Wait until every record is delivered or given up, or until (another) Ctrl-C; tell what was lost."""
    try:
        while left := producer.flush(FLUSH_STEP_S):
            shown.at(tally.sent - left, tally.sent_bytes)
    finally:
        producer.poll(0)  # what it reports of brokers counts among the records until it is taken
        lost = min(tally.failed + len(producer), tally.sent)
        shown.done(tally.sent - lost, tally.sent_bytes)
        if lost:
            reason = tally.first_failure or "it was not waited for"
            click.echo(f"ottla: {lost} of {tally.sent} records were not delivered: {reason}", err=True)


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


def read_lines(file: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """Lines without their ends. What follows the last line end is a line if it is not empty.

    No more than `max_bytes` and one read are held; CommandError where a line goes on after that.
    """
    begun: list[bytes] = []
    begun_bytes = count = 0
    read = getattr(file, "read1", file.read)  # what a pipe has now, not a whole buffer
    while chunk := read(READ_SIZE):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        begun_bytes += len(first)
        if begun_bytes > max_bytes:
            raise CommandError(f"line {count + 1} has more than {max_bytes:,} bytes ({HOW_TO_SEND_MORE})")
        if others:
            last = others.pop()
            yield b"".join(begun)
            yield from others
            begun, begun_bytes = [last], len(last)
            count += 1 + len(others)
    if begun_bytes:
        yield b"".join(begun)
