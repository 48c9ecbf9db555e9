"""`ottla bridge`: the HTTP bridge in the foreground."""

from __future__ import annotations

import click

from ottla.cli.arguments import TEXT
from ottla.cli.connection import listen_address
from ottla.cli.loading import loading
from ottla.cli.options import (
    DEFAULT_BOOTSTRAP,
    bootstrap_option,
    command_config_option,
    config_option,
    set_option,
)
from ottla.cli.properties import Properties, read_properties

_DEFAULT_HOST = "127.0.0.1"
_DEFAULT_PORT = 8080


@click.group(name="bridge")
def bridge() -> None:
    """Kafka over HTTP, with the API of Strimzi's bridge, on any Kafka cluster."""


@bridge.command(name="serve")
@bootstrap_option()
@click.option(
    "--listen",
    type=TEXT,
    metavar="HOST:PORT",
    help=f"Address to listen on; port 0 picks a free one. [default: {_DEFAULT_HOST}:{_DEFAULT_PORT}]",
)
@command_config_option("command_config")
@config_option("Properties of the bridge; a file made for Strimzi's serves.")
@set_option("One property of the bridge; repeatable.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def serve(
    bootstrap_servers: str | None,
    listen: str | None,
    command_config: str | None,
    config_file: str | None,
    assignments: tuple[tuple[str, str], ...],
    verbose: bool,
) -> None:
    """Run an HTTP bridge until Ctrl-C or SIGTERM.

    When it answers requests it prints one line with "ready" and its address. Settings of the client stand in
    the file of --command-config, or in that of --config behind `kafka.`, `kafka.producer.` and
    `kafka.consumer.`.
    """
    with loading():
        from ottla.client.errors import ConfigurationError
        from ottla.client.settings import ClientSettings

        try:
            from ottla.bridge.process import run_process
            from ottla.bridge.settings import configuration
        except ImportError as error:
            raise click.ClickException(
                f"the bridge needs {error.name}: pip install 'ottla[bridge]'"
            ) from error
    given: dict[str, object] = {} if config_file is None else dict(read_properties(config_file))
    try:
        configured = configuration(given | dict(assignments))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    properties = Properties({}, None if command_config is None else read_properties(command_config))
    defaults = {"client_id": "ottla-bridge", "bootstrap_servers": DEFAULT_BOOTSTRAP}
    client = properties.of(ClientSettings, **defaults) | configured.client
    if bootstrap_servers is not None:
        client["bootstrap.servers"] = bootstrap_servers
    host, port = configured.host or _DEFAULT_HOST, configured.port
    if listen is not None:
        host, port = listen_address(listen)
    configured = configured._replace(client=client)
    raise SystemExit(run_process(configured, host, _DEFAULT_PORT if port is None else port, verbose=verbose))
