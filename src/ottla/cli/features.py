"""`ottla feature`: the levels of what a cluster's brokers have agreed to do (KIP-584)."""

from __future__ import annotations

import re
from typing import Any

import click

from ottla.cli.connection import Connection, check_each, connected
from ottla.cli.output import json_option, show_json, show_table

MAX_INT16 = 2**15 - 1

Level = tuple[str, int]


class LevelType(click.ParamType[Level]):
    """`NAME=LEVEL`."""

    name = "name=level"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Level:
        if isinstance(value, tuple):
            return value
        name, _, level = value.rpartition("=")
        if not re.fullmatch(r"[a-z][a-z0-9.]*", name) or not re.fullmatch("[0-9]{1,5}", level):
            self.fail(f"{value!r} is not NAME=LEVEL", param, ctx)
        if int(level) > MAX_INT16:
            self.fail(f"{level} is no level from 0 to {MAX_INT16}", param, ctx)
        return name, int(level)


@click.group()
def feature() -> None:
    """Describe, upgrade and downgrade the features of a cluster."""


@feature.command()
@json_option
@connected
def describe(connection: Connection, as_json: bool) -> None:
    """Show the levels that brokers support, and those that are finalized."""
    described = connection.admin.cluster.features()
    rows = [
        {
            "feature": name,
            "min_level": found.min_level,
            "max_level": found.max_level,
            "finalized": found.finalized,
            "epoch": described.epoch,
        }
        for name, found in described.features.items()
    ]
    if as_json:
        show_json(rows)
    else:
        show_table(["feature", "min level", "max level", "finalized", "epoch"], rows)


levels_argument = click.argument("levels", type=LevelType(), metavar="NAME=LEVEL...", nargs=-1, required=True)
dry_run_option = click.option("--dry-run", is_flag=True, help="Only check whether it could be done.")


@feature.command()
@levels_argument
@dry_run_option
@connected
def upgrade(connection: Connection, levels: tuple[Level, ...], dry_run: bool) -> None:
    """Raise the levels of features: all, or none."""
    from ottla.client.admin.cluster import UpgradeType

    _update(connection, levels, UpgradeType.UPGRADE, dry_run)


@feature.command()
@levels_argument
@click.option("--unsafe", is_flag=True, help="Also where metadata is lost that lower levels do not have.")
@dry_run_option
@connected
def downgrade(connection: Connection, levels: tuple[Level, ...], unsafe: bool, dry_run: bool) -> None:
    """Lower the levels of features: all, or none. Level 0 takes a feature away."""
    from ottla.client.admin.cluster import UpgradeType

    _update(
        connection, levels, UpgradeType.UNSAFE_DOWNGRADE if unsafe else UpgradeType.SAFE_DOWNGRADE, dry_run
    )


def _update(connection: Connection, levels: tuple[Level, ...], kind: int, dry_run: bool) -> None:
    from ottla.client.admin.cluster import FeatureUpdate, UpgradeType

    updates = {name: FeatureUpdate(level, UpgradeType(kind)) for name, level in levels}
    if len(updates) < len(levels):
        raise click.UsageError("A feature is given twice.")
    check_each(connection.admin.cluster.update_features(updates, validate_only=dry_run))
    for name, level in levels:
        click.echo(f"{name} {'could be' if dry_run else 'is'} at level {level}")
