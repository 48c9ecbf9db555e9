"""`ottla cluster`: what a cluster says of itself."""

from __future__ import annotations

import click

from ottla.cli.connection import Connection, connected
from ottla.cli.output import json_option, show_json, show_table


@click.group()
def cluster() -> None:
    """Describe the cluster."""


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
