"""`ottla connect new`: a package with a source and a sink of one's own, to begin with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from ottla.cli.arguments import TEXT

_TEMPLATE: Final[Mapping[str, str]] = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
dependencies = ["ottla[connect]"]

[project.entry-points."ottla.connect.connectors"]
"{package}.{class_}Source" = "{package}:{class_}Source"
"{package}.{class_}Sink" = "{package}:{class_}Sink"
""",
    "{package}.py": '''\
"""A source and a sink for Ottla Connect."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.records import SinkRecord, SourceRecord
from ottla.connect.sdk import (
    Config,
    SinkConnector,
    SinkTask,
    SourceConnector,
    SourceTask,
    TopicPartition,
)


class {class_}Source(SourceConnector):
    """Counts: replace it with what you read."""

    def version(self) -> str:
        return "0.1.0"

    def config(self) -> ConfigDef:
        return ConfigDef().define("topic", ConfigType.STRING, REQUIRED, Importance.HIGH, "Where records go.")

    def task_class(self) -> type[SourceTask]:
        return {class_}SourceTask


class {class_}SourceTask(SourceTask):
    def start(self, config: Config) -> None:
        self.topic = config["topic"]
        known = self.context.offset({{"counter": "one"}})
        self.count = int((known or {{"count": 0}})["count"])

    def poll(self) -> Sequence[SourceRecord] | None:
        time.sleep(1)
        self.count += 1
        return [SourceRecord({{"counter": "one"}}, {{"count": self.count}}, self.topic, value=self.count)]


class {class_}Sink(SinkConnector):
    """Prints: replace it with what you write to."""

    def version(self) -> str:
        return "0.1.0"

    def config(self) -> ConfigDef:
        return ConfigDef().define("prefix", ConfigType.STRING, "", Importance.LOW, "What lines begin with.")

    def task_class(self) -> type[SinkTask]:
        return {class_}SinkTask


class {class_}SinkTask(SinkTask):
    def start(self, config: Config) -> None:
        self.prefix = config.get("prefix", "")

    def put(self, records: Sequence[SinkRecord]) -> None:
        for record in records:
            print(f"{{self.prefix}}{{record.value}}")

    def flush(self, offsets: Mapping[TopicPartition, int]) -> None:
        """All that was put is written."""
''',
    "test_{package}.py": """\
from {package} import {class_}Sink, {class_}Source

from ottla.connect.testing import SinkKit, SourceKit


def test_source_goes_on_where_it_was() -> None:
    kit = SourceKit({class_}Source, {{"topic": "numbers"}})
    assert [record.value for record in kit.run(polls=2)] == [1, 2]
    assert [record.value for record in kit.run(polls=1)] == [3]


def test_sink_prints(capsys) -> None:
    with SinkKit({class_}Sink, {{"prefix": "> "}}) as kit:
        kit.put("numbers", [1, 2])
    assert capsys.readouterr().out == "> 1\\n> 2\\n"
""",
    "connector.json": """\
{{
  "name": "{name}",
  "config": {{
    "connector.class": "{package}.{class_}Source",
    "topic": "numbers"
  }}
}}
""",
}


@click.command(name="new")
@click.argument("name", type=TEXT)
@click.option("--into", type=click.Path(file_okay=False), default=".", help="The folder to make it in.")
def new(name: str, into: str) -> None:
    """Make a package with a source and a sink to begin with, and tests that need no broker."""
    package = name.replace("-", "_")
    if not package.isidentifier():
        raise click.UsageError(f"{name!r} is no name of a package")
    folder = Path(into) / name
    try:
        os.makedirs(folder)
    except FileExistsError:
        raise click.UsageError(f"{folder} is there already") from None
    class_ = "".join(part.capitalize() for part in package.split("_"))
    parts = {"name": name, "package": package, "class_": class_}
    for file, text in _TEMPLATE.items():
        (folder / file.format(**parts)).write_text(text.format(**parts), encoding="utf-8")
    click.echo(f"made {folder}: pip install -e {folder}, and workers have {package}.{class_}Source")
