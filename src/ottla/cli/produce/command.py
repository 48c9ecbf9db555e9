"""`ottla produce`: records of a file or of standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ottla.cli.arguments import HEADER, NAME, PARTITION, SEPARATOR, TEXT
from ottla.cli.connection import Connection, connected
from ottla.cli.formats import FORMATS, TABLES
from ottla.cli.progress import Progress, progress_option
from ottla.cli.values.options import ValueOptions, value_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ottla.cli.formats.interface import Decoder, Defaults, Rows
    from ottla.cli.values.writing import PartWriter
    from ottla.client.connecting import AsyncClient

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
BUFFER_BYTES = 64 << 20
FOREVER_MS = 24 * 3_600_000


@click.command()
@click.argument("topic", type=NAME)
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="text: a line is a value. json: a line is an object with value, key, headers, partition, timestamp."
    " csv: the same as columns, or any table. raw: all of the input is a value."
    " parquet, arrow, arrow-stream: tables, which need ottla[arrow].",
)
@click.option("--key-separator", type=SEPARATOR, help=r"In text, what ends the key of a line, such as '\t'.")
@click.option(
    "--delimiter", type=SEPARATOR, default=r"\n", show_default=True, help="In text, what ends a record."
)
@click.option(
    "--escape", "escapes", is_flag=True, help=r"In text, \n, \xNN and their like are read, and \N as null."
)
@click.option("--base64", "use_base64", is_flag=True, help="In JSON, keys, values and headers are base64.")
@click.option(
    "--key-column",
    type=TEXT,
    metavar="NAME",
    help="Of a table, the column that is the key; the others are the value, as an object of JSON.",
)
@click.option("--partition", type=PARTITION, help="Send records to this partition.")
@click.option(
    "--repartition", is_flag=True, help="Take no partitions from the input: keys say where records go."
)
@click.option(
    "--header", "headers", type=HEADER, metavar="NAME=VALUE", multiple=True, help="A header; repeatable."
)
@click.option(
    "--acks",
    type=click.Choice(["0", "1", "all"]),
    default="all",
    show_default=True,
    help="Whom to wait for: nobody, the leader, or all in-sync replicas.",
)
@click.option(
    "--compression", type=click.Choice(CODECS), default="none", show_default=True, help="Codec of batches."
)
@click.option(
    "--idempotent/--no-idempotent",
    default=True,
    show_default=True,
    help="No duplicates when a request is sent again; with --acks all.",
)
@value_options(
    click.option(
        "--no-register",
        "values_no_register",
        is_flag=True,
        help="Schemas of files have to be registered already.",
    ),
    click.option(
        "--subjects",
        "values_subjects",
        type=click.Choice(["topic", "record", "topic-record"]),
        help="What schemas are registered under: TOPIC-value, the record's name, or both.  [default: topic]",
    ),
    click.option(
        "--schema-ids",
        "values_ids",
        type=click.Choice(["value", "header"]),
        help="Where ids of schemas are: in front of values, or as GUIDs in a header.  [default: value]",
    ),
    click.option("--validate", "values_validate", is_flag=True, help="Compare JSON with its JSON Schema."),
)
@progress_option
@connected
def produce(
    connection: Connection,
    topic: str,
    file: BinaryIO,
    partition: int | None,
    repartition: bool,
    headers: tuple[tuple[str, bytes | None], ...],
    acks: str,
    compression: str,
    idempotent: bool,
    progress: bool | None,
    values: ValueOptions,
    **options: Any,
) -> None:
    """Send records from FILE (standard input by default) to TOPIC.

    Ends with code 1 if a record could not be delivered. Ctrl-C still sends what was read so far.
    """
    from ottla.cli.formats.interface import Defaults
    from ottla.cli.properties import record_max_bytes
    from ottla.client.producer.settings import ProducerSettings
    from ottla.client.schema_registry import RegistrySettings

    settings: dict[str, object] = {
        "acks": acks,
        "compression_type": compression,
        "enable_idempotence": idempotent and acks == "all",
        "linger_ms": 0,
        "buffer_memory": BUFFER_BYTES,
        "max_block_ms": FOREVER_MS,  # delivery.timeout.ms makes room before
    }
    chosen = connection.properties.producer(**settings)
    common = [(name.encode(), value) for name, value in headers]
    defaults = Defaults(common, record_max_bytes(chosen))
    if values.parts:
        rows = _rows_of_values(connection, topic, values, file, defaults, **options)
    else:
        rows = _rows(file, defaults, **options)

    async def work(client: AsyncClient) -> bool:
        from ottla.cli.produce.sending import Sending

        sending = Sending(topic, partition, keeps_partitions=not repartition)
        producer = client.producer(settings=connection.properties.of(ProducerSettings, **settings))
        await producer.start()
        await sending.run(client, producer, rows, Progress(progress))
        return sending.has_lost

    if connection.run(work, ProducerSettings, *([RegistrySettings] if values.parts else [])):
        raise click.exceptions.Exit(1)


def _rows_of_values(
    connection: Connection,
    topic: str,
    values: ValueOptions,
    file: BinaryIO,
    defaults: Defaults,
    kind: str,
    **options: Any,
) -> AsyncIterator[Rows]:
    """Encoded with schemas: tables as their columns are, what else is read as JSON."""
    from ottla.client.errors import missing_extra

    try:
        from ottla.cli.values.writing import writers_of, written
    except ImportError as error:
        raise missing_extra("encoded values", error) from error
    if kind == "raw":
        raise click.UsageError("--value and --key-as are for formats with JSON or columns, not for raw.")
    writers = writers_of(topic, values, values.registry(connection.properties), is_text=kind == "csv")
    if kind in TABLES:
        return _rows(file, defaults, kind, **options, writers=writers)
    return written(_rows(file, defaults, kind, **options), writers)


def _rows(
    file: BinaryIO,
    defaults: Defaults,
    kind: str,
    key_column: str | None,
    writers: Sequence[PartWriter] = (),
    **options: Any,
) -> AsyncIterator[Rows]:
    _check_options(kind, key_column, **options)
    if kind not in TABLES:
        from ottla.cli.produce.input import rows_in

        return rows_in(file, _decoder(kind, defaults, key_column, **options))
    from ottla.cli.produce.input import rows_of_file
    from ottla.client.errors import missing_extra

    try:
        from ottla.cli.formats.tables import TableDecoder
    except ImportError as error:
        raise missing_extra("tables", error) from error
    return rows_of_file(file, TableDecoder(kind, defaults, key_column=key_column, writers=writers))


def _check_options(
    kind: str,
    key_column: str | None,
    *,
    key_separator: bytes | None,
    delimiter: bytes,
    escapes: bool,
    use_base64: bool,
) -> None:
    """UsageError for what is not of this format."""
    if key_column is not None and kind not in ("csv", *TABLES):
        raise click.UsageError("--key-column is for tables: csv, parquet and arrow.")
    if use_base64 and kind != "json":
        raise click.UsageError("--base64 is for --format json.")
    if kind != "text" and (key_separator is not None or delimiter != b"\n" or escapes):
        raise click.UsageError("--key-separator, --delimiter and --escape are for --format text.")
    for option, part in (("--key-separator", key_separator), ("--delimiter", delimiter)):
        if part == b"":
            raise click.UsageError(f"{option} is empty.")


def _decoder(
    kind: str,
    defaults: Defaults,
    key_column: str | None,
    *,
    key_separator: bytes | None,
    delimiter: bytes,
    escapes: bool,
    use_base64: bool,
) -> Decoder:
    if kind == "text":
        from ottla.cli.formats.text import Escapes, TextDecoder

        if escapes:
            try:
                Escapes(delimiter, key_separator or b"")
            except ValueError as error:
                raise click.UsageError(str(error)) from error
        return TextDecoder(defaults, key_separator=key_separator, delimiter=delimiter, escapes=escapes)
    if kind == "json":
        from ottla.cli.formats.json import JsonDecoder

        return JsonDecoder(defaults, use_base64=use_base64)
    if kind == "csv":
        from ottla.cli.formats.csv import CsvDecoder

        return CsvDecoder(defaults, key_column=key_column)
    from ottla.cli.formats.raw import RawDecoder

    return RawDecoder(defaults)
