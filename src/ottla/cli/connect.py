"""`ottla connect`: workers of Connect in the foreground, and what they run, over their REST face."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import click

from ottla.cli.arguments import PROPERTY, TEXT
from ottla.cli.connect_catalog import catalog, install
from ottla.cli.connect_new import new
from ottla.cli.connection import listen_address
from ottla.cli.loading import loading
from ottla.cli.output import json_option, show_json, show_table

_DEFAULT_URL: Final = "http://127.0.0.1:8083"
_DEFAULT_LISTEN: Final = "127.0.0.1:8083"
_TIMEOUT_S: Final = 100


@click.group(name="connect")
def connect() -> None:
    """Systems in and out of topics: workers, connectors and plugins of Connect."""


# Workers.


def _worker(command: Any) -> Any:
    for option in (
        click.option("--verbose", "-v", is_flag=True, help="Log more."),
        click.option(
            "--set",
            "assignments",
            type=PROPERTY,
            metavar="NAME=VALUE",
            multiple=True,
            help="One property of the worker; repeatable.",
        ),
        click.option(
            "--listen",
            type=TEXT,
            metavar="HOST:PORT",
            default=None,
            help="Address of the REST face; port 0 picks a free one.  "
            f"[default: the property listeners, or {_DEFAULT_LISTEN}]",
        ),
    ):
        command = option(command)
    return command


@connect.command(name="standalone")
@click.argument("properties", type=click.Path(exists=True, dir_okay=False), metavar="WORKER.PROPERTIES")
@click.argument(
    "connectors", type=click.Path(exists=True, dir_okay=False), metavar="[CONNECTOR.JSON]...", nargs=-1
)
@_worker
def standalone(
    properties: str,
    connectors: tuple[str, ...],
    listen: str | None,
    assignments: tuple[tuple[str, str], ...],
    verbose: bool,
) -> None:
    """Run a worker that is alone, with these connectors, until Ctrl-C or SIGTERM.

    It keeps the offsets of sources in a file (offset.storage.file.filename), and its connectors nowhere:
    they are made from their files, JSON or properties, each time. When it answers requests it prints one
    line with "ready" and its address.
    """
    given = [_connector(each) for each in connectors]
    _run(properties, listen, assignments, is_distributed=False, connectors=given, verbose=verbose)


@connect.command(name="distributed")
@click.argument("properties", type=click.Path(exists=True, dir_okay=False), metavar="WORKER.PROPERTIES")
@_worker
def distributed(
    properties: str, listen: str | None, assignments: tuple[tuple[str, str], ...], verbose: bool
) -> None:
    """Run a worker that shares the work with others of its group.id, until Ctrl-C or SIGTERM.

    Configurations, statuses and offsets of sources are in topics. When it answers requests it prints one line
    with "ready" and its address.
    """
    _run(properties, listen, assignments, is_distributed=True, connectors=[], verbose=verbose)


def _run(
    properties: str,
    listen: str | None,
    assignments: tuple[tuple[str, str], ...],
    *,
    is_distributed: bool,
    connectors: list[dict[str, str]],
    verbose: bool,
) -> None:
    with loading():
        try:
            from ottla.connect.entry import run_worker
        except ImportError as error:
            raise click.ClickException(f"Connect needs {error.name}: pip install 'ottla[connect]'") from error
    given = {**_properties(properties), **dict(assignments)}
    if listen is None:
        listen = given.get("listeners", "").split(",")[0].strip() or _DEFAULT_LISTEN
    else:
        scheme = given.get("listeners", "").partition("://")[0].strip().lower()
        given["listeners"] = f"{'https' if scheme == 'https' else 'http'}://{listen}"
    host, port = listen_address(listen)
    raise SystemExit(
        run_worker(host, port, given, is_distributed=is_distributed, connectors=connectors, verbose=verbose)
    )


def _properties(path: str) -> dict[str, str]:
    from ottla.connect.providers import parse_properties

    return parse_properties(_read(path))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path}: it is not UTF-8") from error


def _connector(path: str) -> dict[str, str]:
    """From `{"name": ..., "config": {...}}`, from the configuration alone, or from properties."""
    try:
        found = json.loads(_read(path))
    except ValueError:
        found = _properties(path)
    if isinstance(found, dict) and isinstance(found.get("config"), dict):
        found = {"name": found.get("name", ""), **found["config"]}
    if not isinstance(found, dict) or not found.get("name"):
        raise click.UsageError(f"{path}: a connector has a name")
    return {name: _text(value) for name, value in found.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# What they run.

_url = click.option(
    "--url",
    "-u",
    type=TEXT,
    default=_DEFAULT_URL,
    show_default=True,
    envvar="OTTLA_CONNECT_URL",
    show_envvar=True,
    metavar="URL",
    help="A worker's REST face; NAME:PASSWORD@ before its host signs in.",
)
_name = click.argument("name", type=TEXT)


def _ask(url: str, method: str, path: str, body: object = None) -> Any:
    """What it answers. ClickException for a refusal, with its reason."""
    import http.client
    import ssl
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise click.UsageError(f"{url} is no URL: {error}") from error
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # as it is shown
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port or 443, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port or 80, timeout=_TIMEOUT_S)
    data = None if body is None else json.dumps(body).encode()
    headers = {} if data is None else {"content-type": "application/json"}
    if parts.username is not None:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = f"Basic {base64.b64encode(who.encode()).decode()}"
    try:
        connection.request(method, parts.path.rstrip("/") + path, data, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise click.ClickException(f"{url} does not answer: {error}") from error
    finally:
        connection.close()
    try:
        found = json.loads(content) if content else None
    except ValueError as error:
        raise click.ClickException(f"{url} answers {answer.status}, and is no worker") from error
    if answer.status >= 400:
        reason = found.get("message") if isinstance(found, dict) else None
        raise click.ClickException(reason or f"{url} refuses: {answer.status}")
    return found


def _path(name: str, *more: str) -> str:
    return "/".join(["/connectors", quote(name, safe=""), *more])


@connect.command(name="list")
@_url
@json_option
def list_(url: str, as_json: bool) -> None:
    """List connectors, with their states."""
    found = _ask(url, "GET", "/connectors?expand=status")
    if as_json:
        show_json(found)
        return
    rows = []
    for name, each in sorted(found.items()):
        status = each["status"]
        states: dict[str, int] = {}
        for task in status["tasks"]:
            states[task["state"]] = states.get(task["state"], 0) + 1
        tasks = [f"{count} {state}" for state, count in sorted(states.items())]
        worker = status["connector"]["worker_id"]
        state = status["connector"]["state"]
        rows.append({"name": name, "type": status["type"], "state": state, "tasks": tasks, "worker": worker})
    show_table(["name", "type", "state", "tasks", "worker"], rows)


@connect.command(name="status")
@_name
@_url
@json_option
def status(name: str, url: str, as_json: bool) -> None:
    """Show what a connector and its tasks are doing, and why they failed."""
    found = _ask(url, "GET", _path(name, "status"))
    if as_json:
        show_json(found)
        return
    parts = [{"id": "connector", **found["connector"]}, *found["tasks"]]
    rows = [{**each, "worker": each["worker_id"]} for each in parts]
    show_table(["id", "state", "worker", "version"], rows, title=f"{name} ({found['type']})")
    for each in parts:
        if each.get("trace"):
            click.echo(f"\n{each['id']}: {each['trace'].rstrip()}")


@connect.command(name="create")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="CONNECTOR.JSON")
@click.option("--paused", is_flag=True, help="It is not to run yet.")
@click.option("--stopped", is_flag=True, help="It is not to run yet, and has no tasks.")
@_url
@json_option
def create(file: str, paused: bool, stopped: bool, url: str, as_json: bool) -> None:
    """Make a connector from a file, JSON or properties."""
    config = _connector(file)
    body: dict[str, object] = {"name": config["name"], "config": config}
    if paused or stopped:
        body["initial_state"] = "STOPPED" if stopped else "PAUSED"
    _said(_ask(url, "POST", "/connectors", body), f"made {config['name']}", as_json=as_json)


@connect.command(name="apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="CONNECTOR.JSON")
@_url
@json_option
def apply(file: str, url: str, as_json: bool) -> None:
    """Make a connector, or give it this configuration if there is one of its name."""
    config = _connector(file)
    found = _ask(url, "PUT", _path(config["name"], "config"), config)
    _said(found, f"applied {config['name']}", as_json=as_json)


@connect.command(name="config")
@_name
@click.argument("changes", type=PROPERTY, nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--delete", "deleted", type=TEXT, multiple=True, metavar="NAME", help="Take a setting away.")
@_url
@json_option
def config(
    name: str, changes: tuple[tuple[str, str], ...], deleted: tuple[str, ...], url: str, as_json: bool
) -> None:
    """Show a connector's configuration, or change some of it."""
    patch: dict[str, str | None] = {**dict(changes), **dict.fromkeys(deleted)}
    if patch:
        found = _ask(url, "PATCH", _path(name, "config"), patch)["config"]
    else:
        found = _ask(url, "GET", _path(name, "config"))
    if as_json:
        show_json(found)
    else:
        show_table(["name", "value"], [{"name": key, "value": found[key]} for key in sorted(found)])


def _said(found: Any, text: str, *, as_json: bool) -> None:
    if as_json:
        show_json(found)
    else:
        click.echo(text)


def _verb(verb: str, method: str, done: str, doc: str, *path: str) -> None:
    @connect.command(name=verb, help=doc)
    @_name
    @_url
    def run(name: str, url: str) -> None:
        _ask(url, method, _path(name, *path))
        click.echo(f"{done} {name}")


_verb("pause", "PUT", "pausing", "Have a connector and its tasks pause.", "pause")
_verb("resume", "PUT", "resuming", "Have a connector go on that was paused or stopped.", "resume")
_verb("stop", "PUT", "stopping", "Have a connector stop: its tasks go, its offsets can be changed.", "stop")
_verb("delete", "DELETE", "deleted", "Delete a connector; its offsets stay.")


@connect.command(name="restart")
@_name
@click.option("--tasks", "with_tasks", is_flag=True, help="Its tasks as well.")
@click.option("--failed", "only_failed", is_flag=True, help="Only what has failed.")
@click.option("--task", type=click.IntRange(0, 1_000_000_000), default=None, help="This task alone.")
@_url
def restart(name: str, with_tasks: bool, only_failed: bool, task: int | None, url: str) -> None:
    """Restart a connector, its tasks, or one of them."""
    if task is not None:
        _ask(url, "POST", _path(name, "tasks", str(task), "restart"))
    else:
        query = f"?includeTasks={str(with_tasks).lower()}&onlyFailed={str(only_failed).lower()}"
        _ask(url, "POST", _path(name, "restart") + query)
    click.echo(f"restarting {name}")


@connect.command(name="offsets")
@_name
@click.option("--reset", is_flag=True, help="Forget all of them; the connector must be stopped.")
@click.option(
    "--alter",
    "file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help='Set those of a file: {"offsets": [{"partition": ..., "offset": ...}]}, as --json shows them.',
)
@_url
@json_option
def offsets(name: str, reset: bool, file: str | None, url: str, as_json: bool) -> None:
    """Show where a connector is in its source, or a sink in its topics; or change it."""
    if reset or file is not None:
        try:
            body = None if file is None else json.loads(_read(file))
        except ValueError as error:
            raise click.UsageError(f"{file}: it is not JSON: {error}") from error
        found = _ask(url, "DELETE" if reset else "PATCH", _path(name, "offsets"), body)
        _said(found, found["message"], as_json=as_json)
        return
    found = _ask(url, "GET", _path(name, "offsets"))
    if as_json:
        show_json(found)
        return
    rows = [{key: json.dumps(value) for key, value in each.items()} for each in found["offsets"]]
    show_table(["partition", "offset"], rows)


@connect.command(name="topics")
@_name
@_url
@json_option
def topics(name: str, url: str, as_json: bool) -> None:
    """List the topics that a connector has used."""
    found = _ask(url, "GET", _path(name, "topics"))[name]["topics"]
    if as_json:
        show_json(found)
    else:
        show_table(["topic"], [{"topic": each} for each in found])


@connect.command(name="plugins")
@click.option("--all", "everything", is_flag=True, help="Converters, transforms and predicates as well.")
@_url
@json_option
def plugins(everything: bool, url: str, as_json: bool) -> None:
    """List the connectors that a worker has."""
    found = _ask(url, "GET", f"/connector-plugins?connectorsOnly={str(not everything).lower()}")
    if as_json:
        show_json(found)
    else:
        show_table(["class", "type", "version"], found)


@connect.command(name="validate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="CONNECTOR.JSON")
@_url
@json_option
def validate(file: str, url: str, as_json: bool) -> None:
    """Tell what is wrong with a connector's configuration; exit code 1 if something is."""
    config = _connector(file)
    class_ = config.get("connector.class", "").rpartition(".")[2]
    found = _ask(url, "PUT", f"/connector-plugins/{quote(class_, safe='')}/config/validate", config)
    if as_json:
        show_json(found)
    else:
        rows = [
            {"name": each["value"]["name"], "value": each["value"]["value"], "error": error}
            for each in found["configs"]
            for error in each["value"]["errors"]
        ]
        if rows:
            show_table(["name", "value", "error"], rows)
    sys.exit(1 if found["error_count"] else 0)


for _command in (catalog, install, new):
    connect.add_command(_command)
