"""The reference page of the command line: `python -m ottla.cli.reference > docs/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc

import click

from ottla.cli.main import cli

INTRODUCTION = """\
# The command line

This page is generated from the commands: `python -m ottla.cli.reference > docs/cli.md`.

`ottla serve` runs a broker. The other commands are clients and work against any Kafka cluster.

- **Where the cluster is:** all but `ottla serve` and `ottla log` take `-b`, `--bootstrap-server HOST:PORT`.
  Without it they read the environment variable `OTTLA_BOOTSTRAP_SERVERS`, and else try `127.0.0.1:9092`.
- **How to talk to it:** they also take `-X NAME=VALUE`, repeatable, and `--command-config FILE`, a properties
  file as Kafka's own tools take it, so that passwords need not be on a command line. Settings are Kafka's:
  for all commands those of [the client](client.md) (TLS, SASL), for `produce` and `consume` of producers
  and consumers too; librdkafka's names are taken as well. What a file says for others is left out. Java's
  stores are read where they are PEM (`ssl.truststore.type=PEM`).
- **Output:** tables on a terminal, plain columns in a pipe, JSON with `--json`. Errors and progress go to
  stderr; an error is one line.
- **Exit codes:** 0 done, 1 failed, 2 called wrongly, 130 interrupted by Ctrl-C, 143 ended by SIGTERM.

```console
$ ottla topic create app-log --partitions 3 --config retention.ms=86400000
$ ottla produce app-log app.log --compression zstd
$ ottla consume app-log --group indexer --exit-at-end > copy.log
$ ottla group describe indexer
$ ottla group reset-offsets indexer --to-datetime 2031-12-24T18:00:00Z --execute
$ ottla consume app-log --from -10 --exit-at-end --format json | jq .value
$ ottla consume app-log --from -1h --to end --contains ERROR
$ ottla consume app-log --exit-at-end --format parquet > app-log.parquet
$ ottla transaction find-hanging --topic app-log
$ ottla log dump ottla-data/app-log-0/00000000000000000000.log --records
```

**What `ottla consume` writes in a format, `ottla produce` reads from it**, record for record:

| format | a record is | carries |
| --- | --- | --- |
| `text` | a line, with its value | values without line ends; `--keys` (`--key-separator`) keys too |
| `text --escape` | the same with `\\n`, `\\xNN` and their like, and `\\N` for null | any keys and values |
| `json` | an object with topic, partition, offset, timestamp, key, value, headers, in a line | all |
| `csv` | a row with these columns | all |
| `parquet`, `arrow`, `arrow-stream` | a row with these columns; needs `pip install 'ottla[arrow]'` | all |
| `raw` | all of the input; written, values with nothing between them | one value |

No format takes bytes for UTF-8, or text for numbers.

- In text, lines end with `--delimiter` (`\\n`), and a carriage return is part of the value. Where values had
  line ends in them, `ottla consume` says so at its end.
- In JSON, headers are a list of `[name, value]`, read also as an object. Keys and values are text; what is no
  UTF-8 comes as lone surrogate escapes, which `ottla produce` turns back into the same bytes. With `--base64`
  both sides carry any bytes. What is no text stands for its JSON, and goes out as it was written: `1.00` is
  `1.00`. Blank lines are left out.
- In CSV, an empty field is null and `""` the empty string; headers are as in JSON. Of any other table (no
  column `key` or `value`) the value is an object of JSON with the columns, as strings, but for that of
  `--key-column`.
- Of other tables in Parquet and Arrow the value is JSON too, with numbers as numbers. Parquet and Arrow files
  can be read once they are whole: a group commits at their end.
- Partitions of JSON, CSV and tables are kept, unless `--repartition` has keys say where records go. Topics
  and offsets are not looked at.

**Values with schemas in a registry** (`--value avro`, `protobuf` or `json-schema`, `--key-as` for keys) are
JSON on the command line, and columns of their own types in Parquet and Arrow:

```console
$ export OTTLA_SCHEMA_REGISTRY=http://127.0.0.1:8081
$ ottla produce orders orders.jsonl --value avro --value-schema order.avsc
$ ottla produce packages packages.csv --format csv --key-column name --value avro
$ ottla consume orders --exit-at-end --value avro --format json | jq .value.id
$ ottla schema check orders-value order2.avsc && ottla schema register orders-value order2.avsc
```

- `ottla produce` registers the schema of `--value-schema FILE` (a .proto file with what it imports from its
  own folder or those around it). Without a file it writes the subject's latest schema; where there is none,
  it makes one of what comes first: from JSON its types, from CSV text, from tables their columns. A key
  without a schema is text.
- A null, or a field that is missing, is the schema's default where there is one. A union of several types is
  an object with the type's name. What has a schema of text is a line as it is, without quotes. For a JSON
  Schema JSON goes out as it was written. Cells of CSV are cast to what the schema says, or the line is told.
- The registry is that of `--schema-registry`, of `OTTLA_SCHEMA_REGISTRY` or of the property
  `schema.registry.url`. Others are `basic.auth.user.info`, `bearer.auth.token`, and for TLS
  `schema.registry.ssl.ca.location`, `.certificate.location`, `.key.location` and `.key.password`.

What is wrong ends `ottla produce` with its line or row; what was before it is sent. So does a record that is
larger than the client's may be, about 1 MiB without `-X max.request.size=N`. Keys go to partitions as with
Java's clients, unless `-X partitioner=consistent_random` has librdkafka's way.

Separators and delimiters are bytes as typed. In them `\\t`, `\\n`, `\\r`, `\\0`, `\\\\` and `\\xNN` stand for
one byte each, so `--key-separator '\\xff'` is the byte 255.
"""


def commands(
    command: click.Command = cli, parent: click.Context | None = None, name: str = "ottla"
) -> Iterator[click.Context]:
    """A context for each command that does something, in the order of the help."""
    context = click.Context(command, info_name=name, parent=parent)
    if not isinstance(command, click.Group):
        yield context
        return
    for child in command.list_commands(context):
        found = command.get_command(context, child)
        assert found is not None
        yield from commands(found, context, child)


def page() -> str:
    return INTRODUCTION + "".join(map(_section, commands()))


def options(context: click.Context) -> Iterator[tuple[str, str]]:
    """Names and meaning of a command's options, without those that the introduction tells of all."""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if (
            record is not None
            and not {"--help", "--bootstrap-server", "--command-config", "-X"} & set(parameter.opts)
            and record[1]
        ):
            yield record[0], " ".join(record[1].split())


def _section(context: click.Context) -> str:
    usage = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
    parts = [f"## {context.command_path}", f"`{usage}`", cleandoc(context.command.help or "")]
    if rows := [f"| `{names}` | {text} |" for names, text in options(context)]:
        parts.append("\n".join(["| option | |", "| --- | --- |", *rows]))
    return "\n" + "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
