"""`ottla cluster`: what a cluster says of itself, and one on this host."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ottla.cli.arguments import NAME
from ottla.cli.connection import CommandError, Connection, connected
from ottla.cli.loading import loading
from ottla.cli.options import config_option, set_option
from ottla.cli.output import json_option, printable, show_json, show_table
from ottla.cli.rebalancing import rebalance, retire
from ottla.cli.signals import TerminatedError, termination_unwinds

if TYPE_CHECKING:
    from ottla.testing.cluster import LocalCluster

_LOOK_EVERY_S = 0.5


@click.group()
def cluster() -> None:
    """Describe and change a cluster, or run one on this host."""


@cluster.command()
@json_option
@connected
def describe(connection: Connection, as_json: bool) -> None:
    """Show the cluster's id, its controller and its brokers."""
    described = connection.admin.cluster.describe()
    brokers = [
        {
            "broker": node.node_id,
            "host": node.host,
            "port": node.port,
            "rack": node.rack,
            "controller": node.node_id == described.controller,
        }
        for node in described.brokers
    ]
    if as_json:
        show_json(
            {
                "cluster_id": described.cluster_id,
                "controller": described.controller,
                "brokers": brokers,
            }
        )
        return
    click.echo(f"Cluster {described.cluster_id}")
    show_table(["broker", "host", "port", "rack", "controller"], brokers)


@cluster.command()
@json_option
@connected
def status(connection: Connection, as_json: bool) -> None:
    """Show what each broker leads and follows, and the partitions that lack replicas or a leader."""
    admin = connection.admin
    described = admin.cluster.describe()
    names = [topic.name for topic in admin.topics.list(internal=True)]
    topics = admin.topics.describe(names).succeeded.values()
    partitions = [(topic.name, each) for topic in topics for each in topic.partitions]
    brokers = [
        {
            "broker": node.node_id,
            "address": f"{node.host}:{node.port}",
            "rack": node.rack,
            "leads": sum(each.leader == node.node_id for _, each in partitions),
            "replicas": sum(node.node_id in each.replicas for _, each in partitions),
            "in_sync": sum(node.node_id in each.isr for _, each in partitions),
            "controller": node.node_id == described.controller,
        }
        for node in described.brokers
    ]
    lacking = [
        {
            "topic": name,
            "partition": each.partition,
            "leader": each.leader,
            "replicas": list(each.replicas),
            "isr": list(each.isr),
        }
        for name, each in partitions
        if each.leader is None or len(each.isr) < len(each.replicas)
    ]
    if as_json:
        show_json(
            {
                "cluster_id": described.cluster_id,
                "controller": described.controller,
                "brokers": brokers,
                "under_replicated": lacking,
            }
        )
        return
    leaderless = sum(row["leader"] is None for row in lacking)
    click.echo(
        f"Cluster {described.cluster_id}: {len(brokers)} brokers, {len(partitions)} partitions, "
        f"{len(lacking)} under-replicated, {leaderless} without a leader"
    )
    show_table(["broker", "address", "rack", "leads", "replicas", "in sync", "controller"], brokers)
    if lacking:
        show_table(["topic", "partition", "leader", "replicas", "isr"], lacking, title="Under-replicated")


cluster.add_command(rebalance)
cluster.add_command(retire)


@cluster.command()
@click.option("--nodes", type=click.IntRange(1, 100), default=3, show_default=True, help="How many brokers.")
@click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="ottla-cluster",
    show_default=True,
    help="Folder of the data, logs and metadata of all; made on first use.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_000),
    default=9092,
    show_default=True,
    help="The first broker's; the others follow, then two of etcd. 0 picks free ones.",
)
@click.option(
    "--metadata", type=NAME, metavar="URL", help="An etcd that runs: etcd://HOST:PORT[,HOST:PORT]/CLUSTER."
)
@set_option("A setting of all brokers.")
def up(
    nodes: int, folder: Path, port: int, metadata: str | None, assignments: tuple[tuple[str, str], ...]
) -> None:
    """Run a cluster on this host until Ctrl-C: brokers that replicate, and the etcd beneath them.

    For development, and for machines with many cores. Stopped and started again, it goes on with its data.
    """
    from ottla.testing.cluster import ClusterError, LocalCluster

    try:
        running = LocalCluster(nodes, folder, first_port=port, metadata=metadata, settings=dict(assignments))
        with termination_unwinds():
            try:
                _run(running)
            except (KeyboardInterrupt, TerminatedError):
                click.echo("stopping", err=True)
            finally:
                running.stop()
    except (ClusterError, OSError) as error:
        raise CommandError(str(error)) from error


@cluster.command()
@click.option("--data", type=NAME, metavar="DIR", help="Data folder of the node.  [default: ottla-data]")
@click.option(
    "--metadata", type=NAME, metavar="URL", help="The cluster's store: etcd://HOST:PORT[,HOST:PORT]/CLUSTER."
)
@config_option("The node's server.properties or TOML file.")
@set_option("One of its settings.")
def migrate(
    data: str | None,
    metadata: str | None,
    config_file: str | None,
    assignments: tuple[tuple[str, str], ...],
) -> None:
    """Copy the metadata of a node that was alone into etcd, so that it becomes the first of a cluster.

    The node must be stopped; its logs stay where they are. The settings are those of `ottla serve`. Brokers
    that join later take replicas on as `ottla cluster rebalance` gives them. A copy that was broken off is
    served by nobody, and completed by the same command.
    """
    with loading():
        from ottla.broker.migration import migrate

    code, said = migrate(data, metadata, config_file, [f"{name}={value}" for name, value in assignments])
    if code:
        click.echo(f"ottla: {printable(said)}", err=True)
        raise SystemExit(code)
    click.echo(said)


def _run(running: LocalCluster) -> None:
    """Start all and watch over them; returns when none is left."""
    for node in running.start():
        click.echo(f"node {node.node_id} is ready on {node.address} (log: {node.log})")
    click.echo(f"the cluster is ready: {running.bootstrap_servers}")
    told: dict[str, int] = {}
    while len(told) < len(running.nodes):
        time.sleep(_LOOK_EVERY_S)
        processes = [*running.nodes, *([running.etcd] if running.etcd is not None else [])]
        for process in processes:
            if process.name not in told and (code := process.exit_code) is not None:
                told[process.name] = code
                click.echo(f"{process.name} has ended with code {code}: {process.last_words()}", err=True)
