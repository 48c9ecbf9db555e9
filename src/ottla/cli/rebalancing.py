"""`ottla cluster rebalance` and `retire`: replicas spread over brokers, by a plan that is shown first."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ottla.cli.arguments import MAX_INT64, NAME
from ottla.cli.connection import CommandError, Connection, connected, in_words
from ottla.cli.output import json_option, show_json, show_table

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin
    from ottla.client.admin.replicas import LogDir
    from ottla.client.admin.topics import PartitionDescription
    from ottla.client.core.metadata import TopicPartition

_LOOK_EVERY_S = 0.5
_BROKER = click.IntRange(0, 2**31 - 1)


class Move(NamedTuple):
    """One partition of a plan; replicas are ids of brokers, the preferred leader first."""

    partition: TopicPartition
    before: tuple[int, ...]
    after: tuple[int, ...]
    size: int | None
    """In bytes; None where its leader does not say"""

    @property
    def gets(self) -> tuple[int, ...]:
        """Who has to copy it."""
        return tuple(each for each in self.after if each not in self.before)


class Layout(NamedTuple):
    """Which brokers keep what."""

    racks: Mapping[int, str | None]
    """Of the brokers that are there"""
    replicas: Mapping[TopicPartition, tuple[int, ...]]
    """As they will be when all that moves already has moved"""
    leaderless: Sequence[TopicPartition]
    """Nobody can copy these"""


class Plan(NamedTuple):
    layout: Layout
    moves: Sequence[Move]

    def shares(self) -> list[dict[str, Any]]:
        """What each broker has before and after."""
        planned = {**self.layout.replicas, **{move.partition: move.after for move in self.moves}}
        before, after = (
            Counter(broker for replicas in each.values() for broker in replicas)
            for each in (self.layout.replicas, planned)
        )
        leads_before, leads_after = (
            Counter(replicas[0] for replicas in each.values()) for each in (self.layout.replicas, planned)
        )
        copies: Counter[int] = Counter()
        for move in self.moves:
            for broker in move.gets:
                copies[broker] += move.size or 0
        return [
            {
                "broker": broker,
                "rack": self.layout.racks.get(broker),
                "replicas": before[broker],
                "then": after[broker],
                "leads": leads_before[broker],
                "will_lead": leads_after[broker],
                "copies_bytes": copies[broker],
            }
            for broker in sorted({*before, *after, *self.layout.racks})
        ]

    def as_document(self) -> dict[str, Any]:
        """As kafka-reassign-partitions.sh takes it."""
        return {
            "version": 1,
            "partitions": [
                {
                    "topic": move.partition.topic,
                    "partition": move.partition.partition,
                    "replicas": list(move.after),
                }
                for move in self.moves
            ],
        }


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--execute", is_flag=True, help="Move them, and wait until that is done."),
        click.option(
            "--throttle",
            type=click.IntRange(1, MAX_INT64),
            metavar="BYTES",
            help="The most that each broker sends, and copies, for this in a second.",
        ),
        click.option(
            "--at-once",
            type=click.IntRange(1, 10_000),
            default=100,
            show_default=True,
            help="The most partitions that move at a time.",
        ),
        json_option,
    ):
        command = option(command)
    return command


@click.command()
@click.option("--topic", "topics", type=NAME, multiple=True, help="Only this topic's; repeatable.")
@click.option(
    "--retire", "retired", type=_BROKER, metavar="ID", multiple=True, help="Have this broker keep nothing."
)
@_options
@connected
def rebalance(
    connection: Connection,
    topics: tuple[str, ...],
    retired: tuple[int, ...],
    execute: bool,
    throttle: int | None,
    at_once: int,
    as_json: bool,
) -> None:
    """Spread replicas and leaders over the brokers, as when some are new and empty.

    Shows what would move; with --execute it does. As little moves as has to, and never onto fewer racks.
    What brokers keep whose folders are all cordoned stays as it is, unless they are retired.
    Stopped in between it can be run again, and goes on with what is left.
    """
    admin = connection.admin
    plan = _plan(admin, topics, retired)
    _show(plan, as_json)
    if execute:
        _execute(admin, plan, throttle, at_once)
    elif plan.moves and not as_json:
        click.echo("Nothing was changed: --execute moves them.", err=True)


@click.command()
@click.argument("broker", type=_BROKER)
@_options
@connected
def retire(
    connection: Connection, broker: int, execute: bool, throttle: int | None, at_once: int, as_json: bool
) -> None:
    """Have a broker keep nothing any more, and the cluster forget it once it is stopped.

    Shows what would move; with --execute it does. A broker that is gone for good is forgotten at once then,
    one that still runs when it was stopped and this is run again.
    """
    admin = connection.admin
    plan = _plan(admin, (), (broker,))
    _show(plan, as_json)
    if not execute:
        if not as_json:
            click.echo("Nothing was changed: --execute does it.", err=True)
        return
    _execute(admin, plan, throttle, at_once)
    if broker in plan.layout.racks:
        click.echo(f"Broker {broker} keeps nothing any more. Stop it, and run this again.", err=True)
    else:
        admin.cluster.unregister_broker(broker)
        click.echo(f"Broker {broker} is forgotten.", err=True)


def _plan(admin: Admin, topics: Sequence[str], retired: Sequence[int]) -> Plan:
    from ottla.replication.rebalancing import plan_rebalance

    layout = _layout(admin, topics)
    folders = admin.replicas.log_dirs().succeeded
    cordoned = {broker for broker, each in folders.items() if _takes_none(each.values())}
    staying = {broker: rack for broker, rack in layout.racks.items() if broker not in {*retired, *cordoned}}
    if not staying:
        raise CommandError("no broker would be left that takes replicas")
    away = {broker for replicas in layout.replicas.values() for broker in replicas}
    away -= {*layout.racks, *retired}
    if away:
        shown = ", ".join(map(str, sorted(away)))
        raise CommandError(f"brokers that keep replicas are not there: {shown}. Start them, or --retire them")
    movable = {
        (key.topic, key.partition): replicas
        for key, replicas in layout.replicas.items()
        if key not in layout.leaderless and cordoned.difference(retired).isdisjoint(replicas)
    }
    wanted = plan_rebalance(movable, staying)
    sizes = _sizes(folders)
    moves = [
        Move(key, layout.replicas[key], wanted[key.topic, key.partition], sizes.get(key))
        for key in layout.replicas
        if (key.topic, key.partition) in wanted
    ]
    plan = Plan(layout, moves)
    _check_is_emptied(plan, retired)
    return plan


def _takes_none(folders: Iterable[LogDir]) -> bool:
    """Whether a broker would refuse new replicas, by the folders that it can use (KIP-1066)."""
    usable = [each for each in folders if each.error is None]
    return bool(usable) and all(each.is_cordoned for each in usable)


def _layout(admin: Admin, topics: Sequence[str]) -> Layout:
    from ottla.client.core.metadata import TopicPartition

    names = list(topics) or [topic.name for topic in admin.topics.list(internal=True)]
    described = admin.topics.describe(names)
    if topics:
        described.check()
    partitions: dict[TopicPartition, PartitionDescription] = {
        TopicPartition(topic.name, each.partition): each
        for topic in described.succeeded.values()
        for each in topic.partitions
    }
    replicas = {key: each.replicas for key, each in partitions.items()}
    for key, moving in admin.replicas.reassignments().items():
        if key in replicas:
            replicas[key] = tuple(each for each in moving.replicas if each not in moving.removing)
    return Layout(
        {broker.node_id: broker.rack for broker in admin.cluster.describe().brokers},
        replicas,
        [key for key, each in partitions.items() if each.leader is None],
    )


def _sizes(
    folders_of: Mapping[int, Mapping[str, LogDir]],
) -> Mapping[TopicPartition, int]:
    """Of the largest replica each; without those of brokers that do not say."""
    sizes: dict[TopicPartition, int] = {}
    for folders in folders_of.values():
        for folder in folders.values():
            for key, replica in folder.replicas.items():
                sizes[key] = max(sizes.get(key, 0), replica.size)
    return sizes


def _check_is_emptied(plan: Plan, retired: Sequence[int]) -> None:
    """Where brokers are too few, or nobody has a copy, replicas would have to stay."""
    planned = {**plan.layout.replicas, **{move.partition: move.after for move in plan.moves}}
    staying = [key for key, replicas in planned.items() if not set(retired).isdisjoint(replicas)]
    if staying:
        shown = ", ".join(f"{key.topic}-{key.partition}" for key in staying[:5])
        more = f" and {len(staying) - 5} more" if len(staying) > 5 else ""
        raise CommandError(
            f"{len(staying)} partitions would have to stay ({shown}{more}): there are too few other brokers, "
            "or none of their replicas can lead"
        )


def _show(plan: Plan, as_json: bool) -> None:
    if as_json:
        show_json(plan.as_document())
        return
    if not plan.moves:
        click.echo("Nothing has to move.")
        return
    columns = ["broker", "rack", "replicas", "then", "leads", "will lead", "copies bytes"]
    show_table(columns, plan.shares(), title="Brokers")
    rows = [
        {
            "topic": move.partition.topic,
            "partition": move.partition.partition,
            "replicas": list(move.before),
            "then": list(move.after),
            "bytes": (move.size or 0) * len(move.gets),
        }
        for move in plan.moves
    ]
    show_table(["topic", "partition", "replicas", "then", "bytes"], rows, title="Moves")


# -- running it


def _execute(admin: Admin, plan: Plan, throttle: int | None, at_once: int) -> None:
    moves = [move for move in plan.moves if set(move.before) != set(move.after)]
    reordered = [move for move in plan.moves if set(move.before) == set(move.after)]
    if throttle is not None:
        _set_throttle(admin, plan, throttle)
    try:
        failed = _reassign(admin, reordered) + _run(admin, moves, at_once)
    except BaseException:
        click.echo(
            "ottla: what moves already goes on"
            + (
                ", throttled; run this again with --throttle, which ends that" if throttle is not None else ""
            ),
            err=True,
        )
        raise
    if throttle is not None:
        _end_throttle(admin, plan)
    _have_preferred_lead(admin, [move for move in plan.moves if move.partition not in failed])
    if failed:
        raise CommandError(f"{len(failed)} of {len(plan.moves)} partitions were not moved")


def _run(admin: Admin, moves: Sequence[Move], at_once: int) -> list[TopicPartition]:
    """Move them, so many at a time; returns what was refused."""
    waiting = list(reversed(moves))
    moving: dict[TopicPartition, None] = {}
    failed: list[TopicPartition] = []
    while waiting or moving:
        batch = [waiting.pop() for _ in range(min(at_once - len(moving), len(waiting)))]
        if batch:
            refused = _reassign(admin, batch)
            failed += refused
            moving.update(dict.fromkeys(move.partition for move in batch if move.partition not in refused))
        if moving:
            time.sleep(_LOOK_EVERY_S)
            left = admin.replicas.reassignments(list(moving))
            moving = dict.fromkeys(key for key in moving if key in left)
        _tell(len(moves) - len(waiting) - len(moving), len(moves), len(moving))
    if moves and sys.stderr.isatty():
        click.echo(err=True)
    return failed


def _tell(done: int, total: int, moving: int) -> None:
    text = f"{done} of {total} partitions have moved, {moving} move"
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)
    else:
        click.echo(text, err=True)


def _reassign(admin: Admin, moves: Sequence[Move]) -> list[TopicPartition]:
    """Begin the moves; returns those that were refused, which are told."""
    if not moves:
        return []
    results = admin.replicas.reassign({move.partition: move.after for move in moves})
    for key, error in results.errors.items():
        click.echo(f"ottla: {key.topic}-{key.partition}: {in_words(error)}", err=True)
    return list(results.errors)


def _have_preferred_lead(admin: Admin, moves: Sequence[Move]) -> None:
    """Those that cannot do so yet will when leaders are next balanced (`auto.leader.rebalance.enable`)."""
    if moves:
        admin.replicas.elect_leaders(partitions=[move.partition for move in moves])


def _set_throttle(admin: Admin, plan: Plan, rate: int) -> None:
    """As kafka-reassign-partitions.sh does: who copies is held back, and who is copied from."""
    from ottla.client.admin.configs import ConfigChange

    _alter(
        admin,
        _brokers_of(plan),
        [ConfigChange(f"{side}.replication.throttled.rate", str(rate)) for side in ("leader", "follower")],
    )
    by_topic: dict[str, tuple[list[str], list[str]]] = {}
    for move in plan.moves:
        sends, copies = by_topic.setdefault(move.partition.topic, ([], []))
        sends += [f"{move.partition.partition}:{broker}" for broker in move.before]
        copies += [f"{move.partition.partition}:{broker}" for broker in move.gets]
    for topic, (sends, copies) in by_topic.items():
        changes = [
            ConfigChange("leader.replication.throttled.replicas", ",".join(sends)),
            ConfigChange("follower.replication.throttled.replicas", ",".join(copies)),
        ]
        _alter(admin, {topic: None}, changes)


def _end_throttle(admin: Admin, plan: Plan) -> None:
    from ottla.client.admin.configs import ConfigChange, ConfigOperation

    for resources, what in ((_brokers_of(plan), "rate"), (_topics_of(plan), "replicas")):
        changes = [
            ConfigChange(f"{side}.replication.throttled.{what}", None, ConfigOperation.DELETE)
            for side in ("leader", "follower")
        ]
        _alter(admin, resources, changes)


def _alter(admin: Admin, resources: Mapping[int | str, None], changes: Sequence[Any]) -> None:
    """Of brokers by their ids, and topics by their names."""
    from ottla.client.admin.configs import ConfigKind, ConfigResource

    altered = admin.configs.alter(
        {
            ConfigResource(
                ConfigKind.BROKER if isinstance(each, int) else ConfigKind.TOPIC, str(each)
            ): changes
            for each in resources
        }
    )
    altered.check()


def _brokers_of(plan: Plan) -> dict[int | str, None]:
    """Those that are there and have to do with it."""
    concerned = dict.fromkeys(broker for move in plan.moves for broker in (*move.before, *move.after))
    return {broker: None for broker in concerned if broker in plan.layout.racks}


def _topics_of(plan: Plan) -> dict[int | str, None]:
    return dict.fromkeys(move.partition.topic for move in plan.moves)
