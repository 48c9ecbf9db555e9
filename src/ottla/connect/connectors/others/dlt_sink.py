"""dlt's destinations as sinks: each topic is a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.connect.connectors.others import dlt_runner
from ottla.connect.connectors.others.catalogue import Kind
from ottla.connect.connectors.others.json_values import Described
from ottla.connect.connectors.others.messages import encode
from ottla.connect.connectors.others.programs import Program
from ottla.connect.connectors.others.settings import behind, own_config, program_config, program_variables
from ottla.connect.connectors.others.sink import MessagesSinkConnector, MessagesSinkTask, sink_config
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, NonEmptyString, OneOf

__all__ = ["DltSinkConnector", "DltSinkTask"]

_NAME: Final = "destination.name"
_CONFIG: Final = "destination.config"
_OFFSET: Final = "_kafka_offset"
_DELETED: Final = "_kafka_deleted"
_AUTO: Final = "auto"


class DltSinkConnector(MessagesSinkConnector):
    """Feeds a destination of dlt's, which loads every few seconds and whenever offsets are committed."""

    def config(self) -> ConfigDef:
        return (
            program_config(sink_config(), _NAME, Kind.DESTINATION, _CONFIG)
            .define("dataset", ConfigType.STRING, "ottla", Importance.HIGH,
                    "The schema, or folder, that tables are in.", validator=NonEmptyString(),
                    group="Streams", order=3)
            .define("disposition", ConfigType.STRING, _AUTO, Importance.HIGH,
                    "`append`; `merge`: the last record of each key stays; `auto`: merge where there is a "
                    "key.",
                    validator=OneOf(_AUTO, "append", "merge"), group="Streams", order=4)
            .define("load.interval.ms", ConfigType.LONG, 5_000, Importance.MEDIUM,
                    "How long records are collected for a load.", validator=AtLeast(0),
                    group="Program", order=3)
        )  # fmt: skip

    def task_class(self) -> type[SinkTask]:
        return DltSinkTask


class DltSinkTask(MessagesSinkTask):
    kind = Kind.DESTINATION
    name_setting = _NAME

    def settings_of(self, config: Config) -> Settings:
        return DltSinkConnector().settings(config)

    def launch(self) -> Program:
        disposition = self.settings.string("disposition")
        told = {
            "runs": self.environment.runs,
            "folder": str(self.folder.path),
            "arguments": own_config(self.settings, self.config, _CONFIG),
            "settings": behind(self.config, "dlt"),
            "dataset": self.settings.string("dataset"),
            "disposition": "" if disposition == _AUTO else disposition,
            "interval_s": self.settings.integer("load.interval.ms") / 1000,
            "offset": _OFFSET,
            "deleted": _DELETED,
        }
        file = self.folder.write("config.json", encode(told))
        command = [str(self.environment.python), dlt_runner.__file__, "destination", str(file)]
        variables = program_variables(self.config, "destination.env")
        timeout_s = self.settings.integer("timeout.ms") / 1000
        return Program(self.name, command, variables, self.folder.path, timeout_s=timeout_s, takes_input=True)

    def flush_program(self, program: Program) -> None:
        """It loads at once, and goes on."""
        if not program.write(encode({"type": "FLUSH"})):
            self.ended(program)
        while not self.is_kept:
            self.heard(program.lines(1.0))
            if program.is_over:
                self.ended(program)

    def more(self, record: SinkRecord) -> Mapping[str, object]:
        """By which the last of those with one key is told."""
        return {_OFFSET: record.original_offset}

    def deletion(self, record: SinkRecord) -> Mapping[str, object]:  # noqa: ARG002 - all are alike
        return {_DELETED: True}

    def more_described(self) -> Mapping[str, Described]:
        described: dict[str, Described] = {_OFFSET: {"type": "integer"}}
        if self.settings.boolean("delete.enabled"):
            described[_DELETED] = {"type": ["null", "boolean"]}
        return described
