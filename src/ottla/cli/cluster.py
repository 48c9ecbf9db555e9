"""`ottla cluster`: what a cluster says of itself."""

from __future__ import annotations

import click

from ottla.cli.connection import Connection, connected, wait
from ottla.cli.output import json_option, show_json, show_table


@click.group()
def cluster() -> None:
    """Describe the cluster."""


@cluster.command()
@json_option
@connected
def describe(connection: Connection, as_json: bool) -> None:
    """Show the cluster's id, its controller and its brokers."""
    described = wait(connection.admin.describe_cluster(request_timeout=30))
    controller = None if described.controller is None else described.controller.id
    brokers = [
        {
            "broker": node.id,
            "host": node.host,
            "port": node.port,
            "rack": node.rack,
            "controller": node.id == controller,
        }
        for node in sorted(described.nodes, key=lambda node: node.id)
    ]
    if as_json:
        show_json({"cluster_id": described.cluster_id, "controller": controller, "brokers": brokers})
        return
    click.echo(f"Cluster {described.cluster_id}")
    show_table(["broker", "host", "port", "rack", "controller"], brokers)
