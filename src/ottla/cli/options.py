"""Options that several commands have, and how a command is given more than one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ottla.cli.arguments import PROPERTY, TEXT

__all__ = [
    "DEFAULT_BOOTSTRAP",
    "Decorator",
    "bootstrap_option",
    "command_config_option",
    "config_option",
    "set_option",
    "together",
]

DEFAULT_BOOTSTRAP = "127.0.0.1:9092"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*each: Decorator) -> Decorator:
    """All of these, shown in this order."""

    def give(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(each):
            command = option(command)
        return command

    return give


def bootstrap_option(default: str | None = None) -> Decorator:
    """`bootstrap_servers`; without a default it is None where nobody says it, so that a file may."""
    text = "Brokers to start from."
    return click.option(
        "--bootstrap-server",
        "-b",
        "bootstrap_servers",
        type=TEXT,
        metavar="HOST:PORT[,...]",
        default=default,
        envvar="OTTLA_BOOTSTRAP_SERVERS",
        show_default=default is not None,
        show_envvar=True,
        help=text if default is not None else f"{text}  [default: {DEFAULT_BOOTSTRAP}]",
    )


def config_option(text: str, flag: str = "--config", name: str = "config_file") -> Decorator:
    """A file of properties, which is there."""
    return click.option(flag, name, type=click.Path(exists=True, dir_okay=False), metavar="FILE", help=text)


def command_config_option(name: str = "config_file") -> Decorator:
    """`config_file`: a file of the client's properties."""
    return config_option("Properties of the client, as Kafka's tools take them.", "--command-config", name)


def set_option(text: str) -> Decorator:
    """`assignments`: pairs of names and values."""
    return click.option("--set", "assignments", type=PROPERTY, metavar="NAME=VALUE", multiple=True, help=text)
