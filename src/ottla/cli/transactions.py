"""`ottla transaction`: what transactions there are, which of them hang, and ending those."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, OFFSET, PARTITION, SECONDS
from ottla.cli.connection import CommandError, Connection, check_each, connected
from ottla.cli.moving import parse_topic
from ottla.cli.output import cell, json_option, show_json, show_table

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin
    from ottla.client.admin.transactions import ProducerState, TransactionDescription
    from ottla.client.core.metadata import TopicPartition

BROKERS_MAX_TIMEOUT_S = 900.0
"""Kafka's default of `transaction.max.timeout.ms`."""


@click.group()
def transaction() -> None:
    """List, describe and abort transactions, and find those that hang."""


@transaction.command(name="list")
@click.option("--state", "states", type=NAME, multiple=True, help="Only those in this state; repeatable.")
@click.option("--longer-than", type=SECONDS, metavar="SECONDS", help="Only those that run for longer.")
@click.option("--pattern", type=NAME, metavar="REGEX", help="Only those with such an id (RE2).")
@json_option
@connected
def list_(
    connection: Connection,
    states: tuple[str, ...],
    longer_than: float | None,
    pattern: str | None,
    as_json: bool,
) -> None:
    """List transactional ids and the state of their transactions."""
    listed = connection.admin.transactions.list(
        states=states,
        longer_than_ms=None if longer_than is None else int(longer_than * 1000),
        pattern=pattern,
    )
    listed.check()
    rows = [
        {
            "transactional_id": each.transactional_id,
            "coordinator": coordinator,
            "producer_id": each.producer_id,
            "state": each.state,
        }
        for coordinator, found in listed.items()
        for each in found
    ]
    rows.sort(key=lambda row: str(row["transactional_id"]))
    if as_json:
        show_json(rows)
    else:
        show_table(["transactional id", "coordinator", "producer id", "state"], rows)


@transaction.command()
@click.argument("ids", metavar="TRANSACTIONAL_ID...", type=NAME, nargs=-1, required=True)
@json_option
@connected
def describe(connection: Connection, ids: tuple[str, ...], as_json: bool) -> None:
    """Show the state of transactions, and the partitions that are part of them."""
    described = check_each(connection.admin.transactions.describe(ids))
    rows = [_shown(described[name]) for name in ids]
    if as_json:
        show_json(rows)
        return
    columns = ["transactional id", "coordinator", "producer id", "producer epoch", "state"]
    show_table([*columns, "timeout ms", "start time ms", "seconds", "partitions"], rows)


@transaction.command(name="find-hanging")
@click.option(
    "--topic",
    "topics",
    type=NAME,
    metavar="TOPIC[:PARTITION,...]",
    multiple=True,
    help="Where to look; repeatable.  [default: everywhere]",
)
@click.option("--broker", type=PARTITION, metavar="ID", help="Only in partitions with a replica here.")
@click.option(
    "--max-timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=BROKERS_MAX_TIMEOUT_S,
    show_default=True,
    help="The longest that the cluster lets transactions run (transaction.max.timeout.ms).",
)
@json_option
@connected
def find_hanging(
    connection: Connection, topics: tuple[str, ...], broker: int | None, max_timeout: float, as_json: bool
) -> None:
    """Show transactions that are open in a partition, but of which no coordinator knows (any more).

    Consumers that read committed records wait for their end in vain; `ottla transaction abort` ends them.
    """
    admin = connection.admin
    partitions = _partitions(admin, topics, broker)
    before_ms = int((time.time() - max_timeout) * 1000)
    open_there = _open_since(admin, partitions, broker, before_ms)
    rows = [
        {
            "topic": where.topic,
            "partition": where.partition,
            "producer_id": state.producer_id,
            "producer_epoch": state.producer_epoch,
            "coordinator_epoch": state.coordinator_epoch,
            "start_offset": state.transaction_start,
            "last_timestamp_ms": state.last_timestamp_ms,
            "seconds": int(time.time() - state.last_timestamp_ms / 1000),
        }
        for where, state in _hanging(admin, open_there)
    ]
    if as_json:
        show_json(rows)
        return
    columns = ["topic", "partition", "producer id", "producer epoch", "coordinator epoch"]
    show_table([*columns, "start offset", "last timestamp ms", "seconds"], rows)


@transaction.command()
@click.argument("topic", type=NAME)
@click.argument("partition", type=PARTITION)
@click.option("--start-offset", type=OFFSET, metavar="OFFSET", help="The one that begins at this offset.")
@click.option("--producer-id", type=OFFSET, metavar="ID", help="The one of this producer.")
@connected
def abort(
    connection: Connection, topic: str, partition: int, start_offset: int | None, producer_id: int | None
) -> None:
    """Abort a hanging transaction in a partition: see `ottla transaction find-hanging`.

    Only for those: what a coordinator still knows of ends by itself, or by its producer.
    """
    from ottla.client.admin.transactions import TransactionToAbort
    from ottla.client.core.metadata import TopicPartition

    if (start_offset is None) == (producer_id is None):
        raise click.UsageError("Give one of --start-offset and --producer-id.")
    where = TopicPartition(topic, partition)
    admin = connection.admin
    _partitions(admin, [f"{topic}:{partition}"], None)
    (states,) = check_each(admin.transactions.describe_producers([where]), _named).values()
    for state in states:
        if state.transaction_start is None:
            continue
        if start_offset == state.transaction_start or producer_id == state.producer_id:
            admin.transactions.abort(
                TransactionToAbort(
                    where, state.producer_id, state.producer_epoch, state.coordinator_epoch or 0
                )
            )
            return
    wanted = f"at offset {start_offset}" if producer_id is None else f"of producer {producer_id}"
    raise CommandError(f"{_named(where)} has no open transaction {wanted}")


def _shown(described: TransactionDescription) -> dict[str, Any]:
    start_ms = described.start_time_ms
    return {
        "transactional_id": described.transactional_id,
        "coordinator": described.coordinator,
        "producer_id": described.producer_id,
        "producer_epoch": described.producer_epoch,
        "state": described.state,
        "timeout_ms": described.timeout_ms,
        "start_time_ms": start_ms,
        "seconds": None if start_ms is None else max(int(time.time() - start_ms / 1000), 0),
        "partitions": [_named(where) for where in sorted(described.partitions)],
    }


def _partitions(admin: Admin, topics: Sequence[str], broker: int | None) -> list[TopicPartition]:
    """The partitions that were asked for: of some topics or all, with a replica on a broker where one is."""
    from ottla.client.core.metadata import TopicPartition

    asked = [parse_topic(topic) for topic in topics]
    if not asked:
        asked = [(listed.name, []) for listed in admin.topics.list(internal=True)]
    described = check_each(admin.topics.describe([topic for topic, _ in asked]))
    wanted = []
    for topic, numbers in asked:
        known = {each.partition: each for each in described[topic].partitions}
        if missing := sorted(set(numbers).difference(known)):
            raise CommandError(f"{topic} has no partition {missing[0]}, it has {len(known)}")
        wanted += [
            TopicPartition(topic, number)
            for number in numbers or sorted(known)
            if broker is None or broker in known[number].replicas
        ]
    return wanted


def _open_since(
    admin: Admin, partitions: Iterable[TopicPartition], broker: int | None, before_ms: int
) -> list[tuple[TopicPartition, ProducerState]]:
    """The transactions open in `partitions` of which nothing was written after a time."""
    described = check_each(admin.transactions.describe_producers(partitions, broker=broker), _named)
    return [
        (where, state)
        for where, states in sorted(described.items())
        for state in states
        if state.transaction_start is not None and state.last_timestamp_ms < before_ms
    ]


def _hanging(
    admin: Admin, candidates: Sequence[tuple[TopicPartition, ProducerState]]
) -> list[tuple[TopicPartition, ProducerState]]:
    """Those that no coordinator has under way: its producer is unknown, or its partition no part of it."""
    if not candidates:
        return []
    listed = admin.transactions.list(producer_ids={state.producer_id for _, state in candidates})
    listed.check()
    ids = {each.producer_id: each.transactional_id for found in listed.values() for each in found}
    known: Mapping[str, TransactionDescription] = (
        check_each(admin.transactions.describe(ids.values())) if ids else {}
    )
    hanging = []
    for where, state in candidates:
        name = ids.get(state.producer_id)
        if name is None or where not in known[name].partitions:
            hanging.append((where, state))
    return hanging


def _named(where: TopicPartition) -> str:
    return cell(f"{where.topic}-{where.partition}")
