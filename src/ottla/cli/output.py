"""Tables for people, plain columns for pipes, JSON for scripts."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

Row = Mapping[str, Any]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def show_json(value: Any) -> None:
    is_ascii = sys.stdout.encoding.lower() != "utf-8"
    click.echo(json.dumps(value, ensure_ascii=is_ascii, indent=2 if sys.stdout.isatty() else None))


def show_table(columns: Sequence[str], rows: Iterable[Row], *, title: str | None = None) -> None:
    """Print rows; a column shows the field of its name with `_` for the spaces.

    Piped, a table is a line of headings and lines of columns two spaces apart, without frames or cuts.
    """
    fields = [column.replace(" ", "_") for column in columns]
    lines = [[cell(row.get(field)) for field in fields] for row in rows]
    if sys.stdout.isatty():
        _show_rich(columns, lines, title)
        return
    widths = [max(map(len, column)) for column in zip(columns, *lines, strict=True)]
    for line in [[column.upper() for column in columns], *lines]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def cell(value: Any) -> str:
    """A value as it stands in a table: `-` for none, lists with commas, no line ends."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return printable(",".join(map(str, value))) or "-"
    return printable(str(value))


def printable(text: str) -> str:
    """Text without line ends and the control sequences of terminals: others choose names and configs."""
    return text if text.isprintable() else repr(text)[1:-1]


def encode(data: bytes | None, use_base64: bool) -> str | None:
    """Bytes of a record as text: surrogate escapes stand for what is not UTF-8."""
    if data is None:
        return None
    return base64.b64encode(data).decode() if use_base64 else data.decode(errors="surrogateescape")


def iso_time(timestamp_ms: int) -> str:
    """A timestamp in UTC, to the millisecond; `-` for none and for what no calendar has."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC) if timestamp_ms >= 0 else None
    except (ValueError, OverflowError, OSError):
        moment = None
    return "-" if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _show_rich(columns: Sequence[str], lines: Iterable[Sequence[str]], title: str | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*map(escape, line))
    Console().print(table)
