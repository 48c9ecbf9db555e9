"""`ottla consume`: records of topics on standard output."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from ottla.cli.arguments import BYTES, HEADER, NAME, PARTITION, SECONDS, SEPARATOR
from ottla.cli.connection import Connection, connected
from ottla.cli.formats import FORMATS, TABLES
from ottla.cli.offsets import Kind, Position, PositionType
from ottla.cli.progress import Progress, progress_option
from ottla.cli.values.options import ValueOptions, value_options, values_of

if TYPE_CHECKING:
    from ottla.cli.consume.filters import Filter
    from ottla.cli.consume.sources import Source
    from ottla.cli.formats.interface import Encoder
    from ottla.cli.values.reading import Shower
    from ottla.client.connecting import AsyncClient


@click.command()
@click.argument("topics", type=NAME, metavar="TOPIC...", nargs=-1, required=True)
@click.option("--group", "-g", type=NAME, help="Read as a member of this consumer group, and commit.")
@click.option(
    "--from",
    "start",
    type=PositionType(),
    metavar="POSITION",
    help="beginning, end, an offset (negative: back from the end), a time ago (-90m, -1h, -7d), @MILLISECONDS"
    " or a date and time. In a group only beginning or end, for partitions without a committed offset."
    "  [default: beginning]",
)
@click.option(
    "--to",
    "end",
    type=PositionType(),
    metavar="POSITION",
    help="Stop before this position, of the same kinds; those of now are meant. Not in a group.",
)
@click.option(
    "--partition",
    "-p",
    "partitions",
    type=PARTITION,
    multiple=True,
    help="Read this partition alone; repeatable.",
)
@click.option(
    "--max-records",
    "--max-messages",
    "--count",
    "-n",
    "max_records",
    type=click.IntRange(min=1),
    help="Stop after so many records.",
)
@click.option(
    "--exit-at-end/--follow",
    "-e/-f",
    "exits",
    default=None,
    help="Stop at the end of all partitions, or wait for more.  [default: follow, without --to]",
)
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=SECONDS,
    help="Stop when no record came for so long.",
)
@click.option(
    "--key",
    "wanted_keys",
    type=BYTES,
    metavar="KEY",
    multiple=True,
    help="Only records with this key; repeatable.",
)
@click.option(
    "--contains",
    type=BYTES,
    metavar="TEXT",
    multiple=True,
    help="Only values with this text in them; all of them, if repeated.",
)
@click.option(
    "--matches", type=BYTES, metavar="REGEX", help="Only values in which this regular expression is found."
)
@click.option(
    "--with-header",
    "wanted_headers",
    type=HEADER,
    metavar="NAME[=VALUE]",
    multiple=True,
    help="Only records with this header; with all of them, if repeated.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="text: a line for each value. json, csv: a line with all of a record. raw: values, nothing between"
    " them. parquet, arrow, arrow-stream: tables, which need ottla[arrow].",
)
@click.option("--keys", is_flag=True, help="In text, show keys.")
@click.option("--headers", is_flag=True, help="In text, show headers.")
@click.option("--timestamps", is_flag=True, help="In text, show timestamps.")
@click.option("--offsets", is_flag=True, help="In text, show topics, partitions and offsets.")
@click.option(
    "--separator", type=SEPARATOR, default=r"\t", show_default=True, help="In text, what ends these parts."
)
@click.option(
    "--delimiter", type=SEPARATOR, default=r"\n", show_default=True, help="In text, what ends a record."
)
@click.option(
    "--escape",
    "escapes",
    is_flag=True,
    help=r"In text, \n, \xNN and their like for what would end a part or a record, \N for null.",
)
@click.option("--base64", "use_base64", is_flag=True, help="In JSON, keys, values and headers as base64.")
@value_options(
    click.option(
        "--skip-broken",
        "values_skip_broken",
        is_flag=True,
        help="Leave out records that --value and --key-as cannot decode.",
    ),
    click.option("--validate", "values_validate", is_flag=True, help="Compare JSON with its JSON Schema."),
)
@click.option("--read-uncommitted", is_flag=True, help="Show records of open and aborted transactions too.")
@progress_option
@connected
def consume(
    connection: Connection,
    topics: tuple[str, ...],
    group: str | None,
    start: Position | None,
    end: Position | None,
    partitions: tuple[int, ...],
    exits: bool | None,
    read_uncommitted: bool,
    progress: bool | None,
    values: ValueOptions,
    **options: Any,
) -> None:
    """Print records of topics.

    Null keys and values are printed as "null" in text, and not at all in raw. In a group, what was printed
    is committed, also on Ctrl-C, and a TOPIC that begins with ^ is a regular expression.
    """
    _check_positions(group, start, end, partitions, exits)
    from ottla.cli.consume.reading import Limits
    from ottla.client.consumer.settings import ConsumerSettings
    from ottla.client.schema_registry import RegistrySettings

    limits = Limits(options.pop("max_records"), options.pop("timeout_s"))
    wanted = _filter(
        *(options.pop(name) for name in ("wanted_keys", "contains", "matches", "wanted_headers"))
    )
    encoder, shower = _encoder_and_shower(connection, values, wanted, **options)
    start = start or Position(Kind.BEGINNING)
    if exits and end is None:
        end = Position(Kind.END)
    settings: dict[str, object] = {
        "auto_offset_reset": "latest" if start.kind is Kind.END else "earliest",
        "enable_auto_commit": group is not None and not encoder.is_whole,
        "isolation_level": "read_uncommitted" if read_uncommitted else "read_committed",
        "fetch_max_wait_ms": 100 if end is not None else 500,
        "max_partition_fetch_bytes": 4 << 20,
        "allow_auto_create_topics": False,
    }
    if group is not None:
        settings["group_id"] = group
    shown = Progress(False if progress is None and sys.stdout.isatty() else progress)

    async def work(client: AsyncClient) -> None:
        from ottla.cli.consume.reading import Reading
        from ottla.cli.consume.sources import GroupSource, Part, TopicsSource

        source: Source
        if group is None:
            chosen = connection.properties.consumer(**settings)
            source = TopicsSource(client, chosen, topics, Part(partitions, start, end))
        else:
            in_group = connection.properties.of(ConsumerSettings, **settings)
            source = GroupSource(client, in_group, topics, stops_at_end=end is not None)
        await Reading(source, wanted, encoder, limits, shower).run(client, sys.stdout.buffer, shown)

    connection.run(work, ConsumerSettings, *([RegistrySettings] if values.parts else []))


def _check_positions(
    group: str | None,
    start: Position | None,
    end: Position | None,
    partitions: tuple[int, ...],
    exits: bool | None,
) -> None:
    if group is not None and partitions:
        raise click.UsageError("--partition is for reading without --group: the group assigns partitions.")
    if group is not None and start is not None and start.kind not in (Kind.BEGINNING, Kind.END):
        raise click.UsageError(
            "In a group --from is beginning or end; `ottla group reset-offsets` moves a group."
        )
    if group is not None and end is not None and end.kind is not Kind.END:
        raise click.UsageError("In a group --to is end.")
    if exits is False and end is not None:
        raise click.UsageError("--follow does not end, --to does.")


def _filter(
    keys: tuple[bytes, ...],
    contained: tuple[bytes, ...],
    matches: bytes | None,
    headers: tuple[tuple[str, bytes | None], ...],
) -> Filter:
    from ottla.cli.consume.filters import Filter

    try:
        pattern = None if matches is None else re.compile(matches)
    except re.error as error:
        raise click.UsageError(f"--matches: {error}") from error
    return Filter(
        frozenset(keys),
        contained,
        pattern,
        [(name.encode(), value) for name, value in headers],
    )


def _encoder_and_shower(
    connection: Connection, values: ValueOptions, wanted: Filter, kind: str, **options: Any
) -> tuple[Encoder, Shower | None]:
    """What prints records, and decodes them before: tables have columns of what is decoded."""
    if not values.parts:
        return _encoder(kind, **options), None
    from ottla.client.errors import missing_extra

    more = {"errors": "skip" if values.more["skip_broken"] else "raise", "validate": values.more["validate"]}
    registry = values.registry(connection.properties)
    formats = [(each.part, values_of(each, registry, **more)) for each in values.parts]
    try:
        from ottla.cli.values.reading import Shower, table_rows
    except ImportError as error:
        raise missing_extra("decoded values", error) from error
    if kind in TABLES:
        from ottla.cli.formats.tables import TableEncoder

        if wanted.looks_inside:
            raise click.UsageError("--key, --contains and --matches look at JSON: not in tables of values.")
        _encoder(kind, **options)
        return TableEncoder(kind, table_rows(formats)), None
    encoder = _encoder(kind, decoded=frozenset(part for part, _ in formats), **options)
    return encoder, Shower(formats, skips=values.more["skip_broken"], quotes=kind == "json")


def _encoder(
    kind: str,
    *,
    use_base64: bool,
    separator: bytes,
    delimiter: bytes,
    decoded: frozenset[str] = frozenset(),
    **parts: bool,
) -> Encoder:
    """`decoded` parts of records are JSON."""
    if use_base64 and kind != "json":
        raise click.UsageError("--base64 is for --format json.")
    if kind != "text" and (any(parts.values()) or delimiter != b"\n"):
        raise click.UsageError(
            "--keys, --headers, --timestamps, --offsets, --delimiter and --escape are for --format text."
        )
    if kind == "text":
        from ottla.cli.formats.text import TextEncoder, TextFormat

        try:
            return TextEncoder(TextFormat(**parts, separator=separator, delimiter=delimiter))
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    if kind == "json":
        from ottla.cli.formats.json import JsonEncoder

        return JsonEncoder(use_base64=use_base64, decoded=decoded)
    if kind == "csv":
        from ottla.cli.formats.csv import CsvEncoder

        return CsvEncoder()
    if kind == "raw":
        from ottla.cli.formats.raw import RawEncoder

        return RawEncoder()
    from ottla.client.errors import missing_extra

    try:
        from ottla.cli.formats.tables import TableEncoder
    except ImportError as error:
        raise missing_extra("tables", error) from error
    return TableEncoder(kind)
