"""Singer's targets as sinks: each topic is a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.connect.connectors.others.catalogue import Kind
from ottla.connect.connectors.others.json_values import Described
from ottla.connect.connectors.others.messages import encode
from ottla.connect.connectors.others.programs import Program
from ottla.connect.connectors.others.settings import own_config, program_config, program_variables
from ottla.connect.connectors.others.sink import MessagesSinkConnector, MessagesSinkTask, sink_config
from ottla.connect.data.logical import timestamp_from_millis
from ottla.connect.definition import ConfigDef
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkTask
from ottla.connect.settings import Settings

__all__ = ["SingerSinkConnector", "SingerSinkTask"]

_NAME: Final = "target.name"
_CONFIG: Final = "target.config"
_DELETED: Final = "_sdc_deleted_at"


class SingerSinkConnector(MessagesSinkConnector):
    """Feeds a target of Singer's. A target that keeps its records until its input ends is ended, and started
    anew with the next records, whenever offsets are committed.
    """

    def config(self) -> ConfigDef:
        return program_config(sink_config(), _NAME, Kind.TARGET, _CONFIG)

    def task_class(self) -> type[SinkTask]:
        return SingerSinkTask


class SingerSinkTask(MessagesSinkTask):
    kind = Kind.TARGET
    name_setting = _NAME

    def settings_of(self, config: Config) -> Settings:
        return SingerSinkConnector().settings(config)

    def start(self, config: Config) -> None:
        super().start(config)
        told = own_config(self.settings, config, _CONFIG)
        self._config_file = self.folder.write("config.json", encode(told))

    def launch(self) -> Program:
        variables = program_variables(self.config, "target.env")
        command = [str(self.environment.executable), "--config", str(self._config_file)]
        timeout_s = self.settings.integer("timeout.ms") / 1000
        return Program(self.name, command, variables, self.folder.path, timeout_s=timeout_s, takes_input=True)

    def deletion(self, record: SinkRecord) -> Mapping[str, object]:
        """As Singer's SDK has it: targets with hard_delete remove the row."""
        return {_DELETED: timestamp_from_millis(record.timestamp or 0)}

    def more_described(self) -> Mapping[str, Described]:
        if not self.settings.boolean("delete.enabled"):
            return {}
        return {_DELETED: {"type": ["null", "string"], "format": "date-time"}}
