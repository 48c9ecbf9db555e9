"""Singer's taps as sources: each stream in a topic of its own, the tap's state as the offset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.connect.connectors.others.catalogue import Kind
from ottla.connect.connectors.others.messages import encode, parse_object
from ottla.connect.connectors.others.programs import Program, output_of
from ottla.connect.connectors.others.settings import (
    JSON_OBJECT,
    object_of,
    own_config,
    program_config,
    program_variables,
)
from ottla.connect.connectors.others.singer_catalog import selected
from ottla.connect.connectors.others.source import (
    MessagesSourceConnector,
    MessagesSourceTask,
    source_config,
)
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConnectError
from ottla.connect.sdk import Config, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.validators import OneOf

__all__ = ["SingerSourceConnector", "SingerSourceTask"]

_NAME: Final = "tap.name"
_CONFIG: Final = "tap.config"


class SingerSourceConnector(MessagesSourceConnector):
    """Runs a tap of Singer's, again and again."""

    def config(self) -> ConfigDef:
        return (
            program_config(source_config(), _NAME, Kind.TAP, _CONFIG)
            .define("tap.metadata", ConfigType.STRING, None, Importance.MEDIUM,
                    "What is to be said of streams in the tap's catalog: a JSON object by stream, such as "
                    '`{"orders": {"replication-method": "INCREMENTAL", "replication-key": "id"}}`.',
                    validator=JSON_OBJECT, group="Program", order=3)
            .define("tap.catalog", ConfigType.STRING, "--catalog", Importance.LOW,
                    "How the tap is given its catalog: old ones want --properties, and none those "
                    "without discovery.", validator=OneOf("--catalog", "--properties", "none"),
                    group="Program", order=4)
        )  # fmt: skip

    def task_class(self) -> type[SourceTask]:
        return SingerSourceTask


class SingerSourceTask(MessagesSourceTask):
    kind = Kind.TAP
    name_setting = _NAME

    def settings_of(self, config: Config) -> Settings:
        return SingerSourceConnector().settings(config)

    def start(self, config: Config) -> None:
        super().start(config)
        told = own_config(self.settings, config, _CONFIG)
        # Written once: some taps keep there what they get to know, such as tokens.
        self._config_file = self.folder.write("config.json", encode(told))
        self._catalog_file = None
        if self.settings.string("tap.catalog") != "none":
            self._catalog_file = self.folder.write("catalog.json", encode(self._discovered()))

    def _discovered(self) -> dict[str, object]:
        """What the tap has, with what is wanted of it selected. ConnectError, and ConfigError."""
        printed = output_of(self._run("--discover"))
        try:
            catalog = parse_object(printed)
        except ValueError as error:
            raise ConnectError(f"what {self.name} found is no catalog: {error}") from error
        return selected(
            catalog,
            self.settings.list("streams"),
            self.settings.list("streams.exclude"),
            object_of(self.settings, "tap.metadata"),
        )

    def launch(self, state: Mapping[str, object] | None) -> Program:
        arguments: list[str] = []
        if self._catalog_file is not None:
            arguments += [self.settings.string("tap.catalog"), str(self._catalog_file)]
        if state is not None:
            arguments += ["--state", str(self.folder.write("state.json", encode(state)))]
        return self._run(*arguments)

    def _run(self, *arguments: str) -> Program:
        variables = program_variables(self.config, "tap.env")
        command = [str(self.environment.executable), "--config", str(self._config_file), *arguments]
        timeout_s = self.settings.integer("timeout.ms") / 1000
        return Program(self.name, command, variables, self.folder.path, timeout_s=timeout_s)
