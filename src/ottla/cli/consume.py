"""`ottla consume`: records of topics on standard output."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ottla.cli.arguments import NAME, PARTITION, SECONDS, SEPARATOR
from ottla.cli.connection import CommandError, Connection, connected, explain, wait
from ottla.cli.offsets import Kind, Partition, Position, PositionType, offset_in
from ottla.cli.progress import Progress, progress_option
from ottla.cli.records import NULL, TextFormat, to_json

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message
    from confluent_kafka.admin import AdminClient

BATCH_RECORDS = 5_000
POLL_S = 0.1
CLOSE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop; never, where nothing is given."""

    max_messages: int | None
    exit_at_end: bool
    timeout_s: float | None


@click.command()
@click.argument("topics", type=NAME, metavar="TOPIC...", nargs=-1, required=True)
@click.option("--group", "-g", type=NAME, help="Read as a member of this consumer group, and commit.")
@click.option(
    "--from",
    "start",
    type=PositionType(),
    metavar="POSITION",
    help="beginning, end, an offset (negative: back from the end), @MILLISECONDS or a date and time. In a"
    " group only beginning or end, for partitions without a committed offset.  [default: beginning]",
)
@click.option(
    "--partition",
    "-p",
    "partitions",
    type=PARTITION,
    multiple=True,
    help="Read this partition alone; repeatable.",
)
@click.option("--max-messages", "-n", type=click.IntRange(min=1), help="Stop after so many records.")
@click.option("--exit-at-end", "-e", is_flag=True, help="Stop at the end of all partitions.")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=SECONDS,
    help="Stop when no record came for so long.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", "json", "raw"]),
    default="text",
    show_default=True,
    help=(
        "text: a line for each value. json: a line with all of a record. raw: values, nothing between them."
    ),
)
@click.option("--keys", is_flag=True, help="In text, show keys.")
@click.option("--headers", is_flag=True, help="In text, show headers.")
@click.option("--timestamps", is_flag=True, help="In text, show timestamps.")
@click.option("--offsets", is_flag=True, help="In text, show topics, partitions and offsets.")
@click.option(
    "--separator", type=SEPARATOR, default=r"\t", show_default=True, help="In text, what ends these parts."
)
@click.option("--base64", "use_base64", is_flag=True, help="In JSON, keys, values and headers as base64.")
@click.option("--read-uncommitted", is_flag=True, help="Show records of open and aborted transactions too.")
@progress_option
@connected
def consume(
    connection: Connection,
    topics: tuple[str, ...],
    group: str | None,
    start: Position | None,
    partitions: tuple[int, ...],
    read_uncommitted: bool,
    progress: bool | None,
    **options: Any,
) -> None:
    """Print records of topics.

    Null keys and values are printed as "null" in text, and not at all in raw. In a group, what was printed
    is committed, also on Ctrl-C, and a TOPIC that begins with ^ is a regular expression.
    """
    if group is not None and partitions:
        raise click.UsageError("--partition is for reading without --group: the group assigns partitions.")
    if group is not None and start is not None and start.kind not in (Kind.BEGINNING, Kind.END):
        raise click.UsageError(
            "In a group --from is beginning or end; `ottla group reset-offsets` moves a group."
        )
    limits = Limits(options.pop("max_messages"), options.pop("exit_at_end"), options.pop("timeout_s"))
    write = _writer(**options)
    start = start or Position(Kind.BEGINNING)
    consumer = connection.consumer(
        group_id=group or "ottla-consume",
        auto_offset_reset="latest" if start.kind is Kind.END else "earliest",
        enable_auto_commit=group is not None,
        enable_auto_offset_store=False,
        enable_partition_eof=limits.exit_at_end,
        isolation_level="read_uncommitted" if read_uncommitted else "read_committed",
        fetch_wait_max_ms=100,
        fetch_queue_backoff_ms=20,
    )
    reader = Reader(consumer, sys.stdout.buffer, write, stores_offsets=group is not None)
    shown = Progress(False if progress is None and sys.stdout.isatty() else progress)
    try:
        if group is None:
            reader.assign(_assignment(connection, topics, partitions, start))
        else:
            reader.subscribe(topics)
        reader.run(limits, shown)
    finally:
        shown.done(reader.records, reader.size_bytes)
        close(consumer)


def close(consumer: Consumer) -> None:
    """Commit, and leave the group; CommandError where that takes too long.

    By itself it would wait for a cluster that is gone until the session's timeout, and not hear Ctrl-C.
    """
    closing = threading.Thread(target=consumer.close, daemon=True)
    closing.start()
    closing.join(CLOSE_TIMEOUT_S)
    if closing.is_alive():
        raise CommandError("what was printed may not be committed: the cluster does not answer")


class Reader:
    """Moves records from a consumer to a file, and knows when it has seen enough."""

    def __init__(
        self,
        consumer: Consumer,
        out: BinaryIO,
        write: Callable[[BinaryIO, Sequence[Message]], None],
        *,
        stores_offsets: bool,
    ) -> None:
        self.records = 0
        self.size_bytes = 0
        self._consumer = consumer
        self._out = out
        self._write = write
        self._stores_offsets = stores_offsets
        self._unfinished: set[Partition] = set()
        self._is_assigned = False

    def assign(self, offsets: dict[Partition, int]) -> None:
        from confluent_kafka import TopicPartition

        self._begin(offsets)
        self._consumer.assign([TopicPartition(*partition, offset) for partition, offset in offsets.items()])

    def subscribe(self, topics: Sequence[str]) -> None:
        def partitions_of(assigned: list[Any]) -> set[Partition]:
            return {(partition.topic, partition.partition) for partition in assigned}

        self._consumer.subscribe(
            list(topics),
            on_assign=lambda _, assigned: self._begin(partitions_of(assigned)),
            on_revoke=lambda _, revoked: self._unfinished.difference_update(partitions_of(revoked)),
        )

    def _begin(self, partitions: Any) -> None:
        self._is_assigned = bool(partitions) or self._is_assigned
        self._unfinished.update(partitions)

    def run(self, limits: Limits, shown: Progress) -> None:
        last_record_s = time.monotonic()
        while True:
            wanted = BATCH_RECORDS
            if limits.max_messages is not None:
                wanted = min(wanted, limits.max_messages - self.records)
            if wanted == 0:
                return
            if self._take(self._consumer.consume(wanted, POLL_S)):
                last_record_s = time.monotonic()
                shown.at(self.records, self.size_bytes)
            elif limits.timeout_s is not None and time.monotonic() - last_record_s >= limits.timeout_s:
                return
            if limits.exit_at_end and self._is_assigned and not self._unfinished:
                return

    def _take(self, polled: Sequence[Message]) -> bool:
        """Write what was polled; whether there was a record."""
        messages = [message for message in polled if message.error() is None]
        if messages:
            self._write(self._out, messages)
            self._out.flush()
            self.records += len(messages)
            self.size_bytes += sum(map(len, messages))
            if self._stores_offsets:
                self._store(messages)
        if len(messages) < len(polled):
            for message in polled:
                if (error := message.error()) is not None:
                    self._on_error(message, error)
        return bool(messages)

    def _store(self, messages: Sequence[Message]) -> None:
        from confluent_kafka import KafkaException

        last = {(message.topic(), message.partition()): message for message in messages}
        for message in last.values():
            try:
                self._consumer.store_offsets(message)
            except KafkaException:
                continue  # the partition was just given to another member, which reads this record again

    def _on_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == error._PARTITION_EOF:  # noqa: SLF001
            self._unfinished.discard((str(message.topic()), int(message.partition() or 0)))
            return
        where = message.topic()
        raise CommandError(f"{where}: {explain(error)}" if where else explain(error))


def _assignment(
    connection: Connection, topics: Sequence[str], partitions: Sequence[int], start: Position
) -> dict[Partition, int]:
    """Every partition that was asked for, and the offset to start at."""
    admin = connection.confluent_admin
    known = admin.list_topics(timeout=30).topics
    wanted = []
    for topic in topics:
        if topic not in known:
            raise CommandError(f"{topic}: there is no such topic")
        for partition in partitions:
            if partition not in known[topic].partitions:
                raise CommandError(
                    f"{topic} has no partition {partition}, it has {len(known[topic].partitions)}"
                )
        wanted += [(topic, partition) for partition in partitions or sorted(known[topic].partitions)]
    return _resolve(admin, start, wanted)


def _log_ranges(admin: AdminClient, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
    """The earliest offset of each partition and the one that its next record will have."""
    from confluent_kafka.admin import OffsetSpec

    wanted = list(partitions)
    earliest = _list_offsets(admin, wanted, OffsetSpec.earliest())
    latest = _list_offsets(admin, wanted, OffsetSpec.latest())
    return {partition: (earliest[partition], latest[partition]) for partition in wanted}


def _resolve(admin: AdminClient, position: Position, partitions: Iterable[Partition]) -> dict[Partition, int]:
    """The offset that a position means in each partition, within what its log holds."""
    from confluent_kafka.admin import OffsetSpec

    ranges = _log_ranges(admin, partitions)
    found = {}
    if position.kind is Kind.TIMESTAMP:
        found = _list_offsets(admin, ranges, OffsetSpec.for_timestamp(position.value))
    return {
        partition: offset_in(position, earliest, latest, found.get(partition, -1))
        for partition, (earliest, latest) in ranges.items()
    }


def _list_offsets(admin: AdminClient, partitions: Iterable[Partition], spec: Any) -> dict[Partition, int]:
    """One offset of each partition, -1 where there is none."""
    from confluent_kafka import KafkaException, TopicPartition

    request = {TopicPartition(topic, partition): spec for topic, partition in partitions}
    offsets = {}
    for where, future in (admin.list_offsets(request) if request else {}).items():
        try:
            offsets[where.topic, where.partition] = wait(future).offset
        except KafkaException as error:
            raise CommandError(f"{where.topic}-{where.partition}: {explain(error.args[0])}") from error
    return offsets


def _writer(
    kind: str, separator: bytes, use_base64: bool, **parts: bool
) -> Callable[[BinaryIO, Sequence[Message]], None]:
    if use_base64 and kind != "json":
        raise click.UsageError("--base64 is for --format json.")
    if any(parts.values()) and kind != "text":
        raise click.UsageError("--keys, --headers, --timestamps and --offsets are for --format text.")
    text = TextFormat(**parts, separator=separator)

    def write_raw(out: BinaryIO, messages: Sequence[Any]) -> None:
        out.write(b"".join([message.value() or b"" for message in messages]))

    def write_values(out: BinaryIO, messages: Sequence[Any]) -> None:
        values = [message.value() for message in messages]
        values.append(b"")
        out.write(b"\n".join([NULL if value is None else value for value in values]))

    def write_text(out: BinaryIO, messages: Sequence[Any]) -> None:
        out.write(b"".join([text.line(message) + b"\n" for message in messages]))

    def write_json(out: BinaryIO, messages: Sequence[Any]) -> None:
        out.write(b"".join([to_json(message, use_base64=use_base64) + b"\n" for message in messages]))

    if kind == "text":
        return write_values if text.is_value_only else write_text
    return write_json if kind == "json" else write_raw
