"""`ottla serve`: the broker in the foreground; imported only to run, as `ottla --help` must be quick."""

from __future__ import annotations

import click

from ottla.cli.loading import loading


@click.command()
@click.option(
    "--data", "data", metavar="DIR", help="Data folder (log.dirs); made on first use.  [default: ottla-data]"
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Address to listen on; port 0 picks a free one.  [default: 127.0.0.1:9092]",
)
@click.option("--node-id", type=click.IntRange(0, 2**31 - 1), help="This node's id (node.id).  [default: 1]")
@click.option(
    "--metadata",
    metavar="URL",
    help="Where the cluster's metadata is, etcd://HOST:PORT[,HOST:PORT]/CLUSTER (ottla.metadata.store).  "
    "[default: in the data folder, for a broker that is alone]",
)
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    help="Show metrics and health over HTTP there (ottla.metrics.listener).",
)
@click.option("--config", "config_file", metavar="FILE", help="A server.properties or a TOML file.")
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="One setting, by Kafka's name; repeatable.",
)
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def serve(
    data: str | None,
    listen: str | None,
    node_id: int | None,
    metadata: str | None,
    metrics: str | None,
    config_file: str | None,
    assignments: tuple[str, ...],
    verbose: bool,
) -> None:
    """Run a broker until Ctrl-C or SIGTERM.

    Settings have Kafka's names. They come from --config, then OTTLA_* environment variables
    (OTTLA_LOG_RETENTION_MS sets log.retention.ms), then --set, then the options below; later ones win. When
    it accepts connections it prints one line with "ready" and its address.
    """
    with loading():
        from ottla.broker.process import Options, run_process

    options = Options(data, listen, node_id, metadata, metrics)
    raise SystemExit(run_process(options, config_file, assignments, verbose=verbose))
