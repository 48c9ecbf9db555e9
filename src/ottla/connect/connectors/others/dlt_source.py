"""dlt's sources as sources: each resource in a topic of its own, the pipeline's state as the offset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.connect.connectors.others import dlt_runner
from ottla.connect.connectors.others.catalogue import Kind
from ottla.connect.connectors.others.messages import encode
from ottla.connect.connectors.others.programs import Program
from ottla.connect.connectors.others.settings import (
    JSON_OBJECT,
    behind,
    object_of,
    own_config,
    program_config,
    program_variables,
)
from ottla.connect.connectors.others.source import (
    MessagesSourceConnector,
    MessagesSourceTask,
    source_config,
)
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.sdk import Config, SourceTask
from ottla.connect.settings import Settings

__all__ = ["DltSourceConnector", "DltSourceTask"]

_NAME: Final = "source.name"
_CONFIG: Final = "source.config"


class DltSourceConnector(MessagesSourceConnector):
    """Runs a source of dlt's, again and again, in one process."""

    def config(self) -> ConfigDef:
        return program_config(source_config(), _NAME, Kind.SOURCE, _CONFIG).define(
            "source.hints", ConfigType.STRING, None, Importance.MEDIUM,
            "What is to be said of resources: a JSON object by resource, such as "
            '`{"orders": {"incremental": "updated_at", "primary_key": "id"}}`.',
            validator=JSON_OBJECT, group="Program", order=3,
        )  # fmt: skip

    def task_class(self) -> type[SourceTask]:
        return DltSourceTask


class DltSourceTask(MessagesSourceTask):
    kind = Kind.SOURCE
    name_setting = _NAME

    def settings_of(self, config: Config) -> Settings:
        return DltSourceConnector().settings(config)

    def launch(self, state: Mapping[str, object] | None) -> Program:
        """It goes on by itself: it is started a second time only with the task."""
        told = {
            "runs": self.environment.runs,
            "folder": str(self.folder.path),
            "arguments": own_config(self.settings, self.config, _CONFIG),
            "settings": behind(self.config, "dlt"),
            "hints": object_of(self.settings, "source.hints"),
            "streams": self.settings.list("streams"),
            "exclude": self.settings.list("streams.exclude"),
            "interval_s": self.settings.integer("poll.interval.ms") / 1000,
            "state": state,
        }
        file = self.folder.write("config.json", encode(told))
        command = [str(self.environment.python), dlt_runner.__file__, "source", str(file)]
        variables = program_variables(self.config, "source.env")
        timeout_s = (self.settings.integer("timeout.ms") + self.settings.integer("poll.interval.ms")) / 1000
        return Program(self.name, command, variables, self.folder.path, timeout_s=timeout_s)
