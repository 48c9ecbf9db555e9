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
- **How to talk to it:** they also take `-X NAME=VALUE`, repeatable. `produce` and `consume` take any
  [librdkafka property](https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md): TLS,
  SASL and the like. The others take Kafka's settings of clients, and of librdkafka's for TLS
  `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.location` and `ssl.key.password`. For
  `security.protocol=SASL_SSL` or `SASL_PLAINTEXT` they take `sasl.mechanism` (`PLAIN`, `SCRAM-SHA-256`,
  `SCRAM-SHA-512`, `OAUTHBEARER`; no `GSSAPI`), with `sasl.username` and `sasl.password`, with Java's
  `sasl.jaas.config`, or with `sasl.oauthbearer.token`.
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
$ ottla transaction find-hanging --topic app-log
$ ottla log dump ottla-data/app-log-0/00000000000000000000.log --records
```

In JSON lines a record is an object with `topic`, `partition`, `offset`, `timestamp`, `key`, `value` and
`headers`, a list of `[name, value]`. `ottla produce --format json` reads the same, headers also as an object,
and ignores topic and offset. Keys and values are text; what is not UTF-8 comes as lone surrogate escapes,
which `ottla produce` turns back into the same bytes. With `--base64` both sides carry any bytes. What is no
text stands for its JSON, and goes out as it was written: `1.00` stays `1.00`. Blank lines are left out.

A line that is wrong ends `ottla produce` with its number; the lines before it are sent. So does a line
longer than the client's records may be, 1,000,000 bytes without `-X message.max.bytes=N`; in JSON it may have
six times as many, for escapes.

Kafka's client sets limits to JSON lines. Names of headers must be UTF-8, without NUL; those in a topic are
shown with surrogate escapes, up to their first NUL. A timestamp of 0 means the time of sending to it, and is
refused.

Separators are bytes as typed. In them `\\t`, `\\n`, `\\r`, `\\0`, `\\\\` and `\\xNN` stand for one byte
each, so `--key-separator '\\xff'` is the byte 255.
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
            and not {"--help", "--bootstrap-server", "-X"} & set(parameter.opts)
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
