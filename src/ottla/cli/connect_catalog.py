"""`ottla connect catalog` and `install`: what can be connected, and how it comes onto this machine."""

from __future__ import annotations

from pathlib import Path

import click

from ottla.cli.arguments import TEXT
from ottla.cli.loading import loading
from ottla.cli.output import json_option, show_json, show_table

_KINDS = ("tap", "target", "dlt-source", "dlt-destination", "own")


@click.command(name="catalog")
@click.argument("search", type=TEXT, required=False, default="")
@click.option("--kind", type=click.Choice(_KINDS), default=None, help="Only these.")
@json_option
def catalog(search: str, kind: str | None, as_json: bool) -> None:
    """List what can be connected: Ottla's own connectors, Singer's taps and targets, dlt's sources and
    destinations.

    SEARCH is part of a name or of a system. The state says how far it is to be trusted: core is Ottla's own,
    or run whole by its tests; verified was installed and asked what it has, on the day shown; community is
    neither.
    """
    from ottla.connect.connectors.others.catalogue import entries

    wanted = search.casefold()
    rows = [
        {
            "name": each.name,
            "kind": each.kind.value,
            "system": each.system,
            "state": each.state.value,
            "version": each.version,
            "checked": each.checked,
            "found": each.found,
            "package": each.requirement.partition("==")[0],
        }
        for each in entries()
        if kind in (None, each.kind.value) and wanted in f"{each.name} {each.system}".casefold()
    ]
    if as_json:
        show_json(rows)
    else:
        show_table(["name", "kind", "system", "state", "version", "checked"], rows)


@click.command(name="install")
@click.argument("name", type=TEXT)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    envvar="OTTLA_CONNECT_ENVIRONMENTS",
    show_envvar=True,
    help="The folder of environments, as the worker's ottla.connect.environments.dir.  "
    "[default: ~/.local/share/ottla/connect]",
)
@click.option(
    "--package", type=TEXT, default=None, metavar="REQUIREMENT", help="Install this, such as tap-x==1.2."
)
@click.option("--kind", type=click.Choice(_KINDS[:-1]), default=None, help="What the package is.")
@click.option(
    "--runs",
    type=TEXT,
    default="",
    help="The program that it brings, or a place in Python (module:name); found without it.",
)
def install(name: str, into: Path | None, package: str | None, kind: str | None, runs: str) -> None:
    """Install a tap, target, source or destination into a virtual environment of its own.

    NAME is an entry of the catalog, in its version; with --package and --kind anything else, which workers
    then know by that name. uv is used where there is one, pip otherwise.
    """
    with loading():
        from ottla.connect.connectors.others.catalogue import Entry, Kind, State, entry_of
        from ottla.connect.connectors.others.environments import Environments
        from ottla.connect.errors import ConnectError
    if (package is None) != (kind is None):
        raise click.UsageError("--package and --kind belong together")
    if package is not None:
        entry: Entry | None = Entry(name, Kind(kind), package, runs, State.COMMUNITY, "", "", "")
    else:
        entry = entry_of(name)
    if entry is None:
        raise click.UsageError(f"the catalog has no {name}: `ottla connect catalog` lists what there is")
    if entry.kind is Kind.OWN:
        raise click.UsageError(f"{name} is Ottla's own: pip install 'ottla[{entry.requirement}]'")
    try:
        made = Environments(into).install(entry)
    except ConnectError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"installed {entry.requirement} in {made.folder}")
