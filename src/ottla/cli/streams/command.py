"""The commands of `ottla streams`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import NAME, TEXT
from ottla.cli.connection import CommandError, Connection, connected
from ottla.cli.loading import loading
from ottla.cli.moving import commit, committed_offsets, moved, partitions_of, target, target_options
from ottla.cli.offsets import Kind, Position
from ottla.cli.options import DEFAULT_BOOTSTRAP, bootstrap_option, config_option, set_option
from ottla.cli.output import cell, json_option, printable, show_json, show_table
from ottla.cli.properties import read_properties
from ottla.cli.signals import TerminatedError, termination_unwinds

if TYPE_CHECKING:
    from ottla.streams.runtime.streams import Streams
    from ottla.streams.topology.topology import Topology

_LOOK_S = 0.1

_target_argument = click.argument("place", metavar="MODULE:TOPOLOGY", type=TEXT)
_optimize_option = click.option(
    "--optimize", is_flag=True, help="Build a StreamsBuilder as topology.optimization=all does."
)
_application_option = click.option(
    "--application-id", type=NAME, required=True, metavar="ID", help="The application (application.id)."
)


@click.group(name="streams")
def streams() -> None:
    """Run streams applications, describe and reset them, and see how far they are.

    MODULE:TOPOLOGY is a Topology, a StreamsBuilder, or a function that makes one, in a module of Python;
    FILE.py:NAME is one in a file. Without a name it is `topology`.
    """


@streams.command()
@_target_argument
@_application_option
@bootstrap_option()
@config_option("Properties of the application and its clients, as Kafka Streams takes them.")
@set_option("One of these; repeatable.")
@_optimize_option
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def run(
    place: str,
    application_id: str,
    bootstrap_servers: str | None,
    config_file: str | None,
    assignments: tuple[tuple[str, str], ...],
    optimize: bool,
    verbose: bool,
) -> None:
    """Run an instance of an application until Ctrl-C or SIGTERM.

    Instances with the same id share the work; each needs a state.dir of its own. When all that it was
    assigned runs it prints one line with "running".
    """
    settings: dict[str, object] = {"bootstrap.servers": DEFAULT_BOOTSTRAP}
    if config_file is not None:
        settings |= read_properties(config_file)
    if bootstrap_servers is not None:
        settings["bootstrap.servers"] = bootstrap_servers
    settings |= {**dict(assignments), "application.id": application_id}
    topology = _load(place, optimize)
    with _logging(verbose), _errors(), termination_unwinds():
        from ottla.streams.runtime.streams import Streams

        application = Streams(topology, settings)
        try:
            application.start()
            _watch(application, application_id)
        except (KeyboardInterrupt, TerminatedError):
            click.echo("stopping", err=True)
            if not application.close():
                raise CommandError("threads did not end in time: their last work may be done again") from None
            click.echo("stopped", err=True)
        finally:
            application.close()


@streams.command()
@_target_argument
@click.option("--mermaid", is_flag=True, help="A picture, as a Mermaid flowchart.")
@_optimize_option
def describe(place: str, mermaid: bool, optimize: bool) -> None:
    """Print a topology: its sub-topologies, processors, stores and topics, as Kafka Streams prints it."""
    topology = _load(place, optimize)
    click.echo((topology.picture() if mermaid else topology.describe()).rstrip("\n"))


@streams.command()
@_application_option
@click.option(
    "--input-topics",
    type=NAME,
    metavar="TOPIC[:PARTITION,...]",
    multiple=True,
    help="An input topic to read again; repeatable.",
)
@click.option(
    "--internal-topics",
    type=NAME,
    metavar="TOPIC",
    multiple=True,
    help="An internal topic to delete; repeatable.  [default: all whose names are the application's]",
)
@target_options
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where instances on this host have their state (state.dir).  [default: state.dir's]",
)
@click.option("--force", is_flag=True, help="Remove members from the group that time out only later.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@json_option
@connected
def reset(
    connection: Connection,
    application_id: str,
    input_topics: tuple[str, ...],
    internal_topics: tuple[str, ...],
    state_dir: Path | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **targets: Any,
) -> None:
    """Have an application begin anew: input topics from an offset (the first, unless one is given), internal
    topics and this host's state deleted.

    All instances have to be stopped. Output topics are left as they are. Look first, with --dry-run: topics
    of an application whose id is this one's and more after a `-` are named as this one's are.
    """
    from ottla.cli.streams import reset as resetting

    where = target(targets, Position(Kind.BEGINNING))
    base = state_dir or _default_state_dir()
    folder = resetting.state_folder(base, application_id)
    admin = connection.admin
    resetting.refuse_while_active(admin, application_id, removes=force and not dry_run)
    topics = resetting.internal_topics(admin, application_id, internal_topics)
    wanted = partitions_of(admin, input_topics)
    rows = moved(admin, committed_offsets(admin, application_id), wanted, where) if wanted else []
    state = folder if folder.is_dir() else None
    if not dry_run:
        resetting.delete_state(base, application_id)
        commit(admin, application_id, rows)
        resetting.delete_topics(admin, topics)
    if as_json:
        show_json(
            {"offsets": rows, "internal_topics": topics, "state": None if state is None else str(state)}
        )
        return
    if rows:
        show_table(["topic", "partition", "committed", "new offset"], rows)
    verb = "to be deleted" if dry_run else "deleted"
    for topic in topics:
        click.echo(f"internal topic {cell(topic)} {verb}")
    if state is not None:
        click.echo(f"state in {cell(str(state))} {verb}")
    if dry_run:
        click.echo("Nothing was changed.", err=True)


@streams.command()
@click.argument("names", metavar="[APPLICATION]...", type=NAME, nargs=-1)
@json_option
@connected
def groups(connection: Connection, names: tuple[str, ...], as_json: bool) -> None:
    """List the groups of applications; of those that are named, show tasks, who runs them, and their lag."""
    from ottla.cli.streams.groups import applications, description

    if not names:
        rows = applications(connection.admin)
        if as_json:
            show_json(rows)
        else:
            show_table(["application", "state", "members", "kind"], rows)
        return
    found = [description(connection.admin, name) for name in names]
    if as_json:
        show_json(found)
        return
    for each in found:
        click.echo(
            f"Application {cell(each['application'])}  {each['state']}  members {each['members']}"
            f"  coordinator {each['coordinator']}  lag {each['lag']}"
        )
        show_table(["task", "role", "lag", "partitions", "client", "member"], each["tasks"])


def _load(place: str, optimize: bool) -> Topology:
    with loading():
        try:
            from ottla.cli.streams.target import load_topology
        except ImportError as error:
            raise CommandError(f"streams need {error.name}: pip install 'ottla[streams]'") from error
    return load_topology(place, optimize=optimize)


def _watch(application: Streams, application_id: str) -> None:
    """Until it ends by itself, which it does with an error."""
    from ottla.streams.runtime.streams import State

    is_told = False
    while not application.wait(None if is_told else _LOOK_S):
        if application.state is State.RUNNING:
            is_told = True
            threads = application.metrics().values()
            active = sum(each["active_tasks"] for each in threads)
            standby = sum(each["standby_tasks"] for each in threads)
            click.echo(f"{printable(application_id)} is running: {active} active and {standby} standby tasks")


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """What the application ends with, in one line."""
    from ottla.client.errors import ClientError
    from ottla.streams.errors import StreamsError

    try:
        yield
    except StreamsError as error:
        raise CommandError(str(error)) from error
    except (ClientError, click.ClickException, OSError):
        raise
    except Exception as error:
        raise CommandError(f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _logging(verbose: bool) -> Iterator[None]:
    """Warnings a line each, or all there is, with where it came from."""
    from ottla.cli.running import LogLines

    log = logging.getLogger("ottla")
    lines = logging.StreamHandler() if verbose else LogLines(logging.WARNING)
    before = log.level
    log.addHandler(lines)
    if verbose:
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(lines)
        log.setLevel(before)


def _default_state_dir() -> Path:
    from ottla.streams.runtime.settings import StreamsSettings

    return Path(StreamsSettings(application_id="any").state_dir)
