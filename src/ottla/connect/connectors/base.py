"""What connectors that come with Ottla have in common; others are made of `ottla.connect.sdk` alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeAlias

from ottla.connect.definition import ConfigValue
from ottla.connect.errors import ConfigError
from ottla.connect.sdk import Config, Connector, SinkConnector, SourceConnector
from ottla.connect.settings import Settings
from ottla.connect.version import VERSION

__all__ = ["BuiltInSinkConnector", "BuiltInSourceConnector", "Checks", "needs", "with_checks"]

Checks: TypeAlias = Mapping[str, Callable[[Settings], object]]
"""What raises ConfigError, by the name of the setting that is at fault"""


class _BuiltInConnector(Connector):
    renames: ClassVar[Mapping[str, str]] = {}
    """Our name for each of those by which others call a setting: theirs is taken where ours is not given"""

    def version(self) -> str:
        return VERSION

    def checks(self) -> Checks:
        """What a configuration is held to beside the rules of each setting."""
        return {}

    def settings(self, config: Config) -> Settings:
        return super().settings(self._renamed(config))

    def validate(self, config: Config) -> list[ConfigValue]:
        return with_checks(self, config, super().validate(self._renamed(config)), self.checks())

    def _renamed(self, config: Config) -> Config:
        others = {ours: config[theirs] for theirs, ours in self.renames.items() if theirs in config}
        return {**others, **config}


class BuiltInSourceConnector(_BuiltInConnector, SourceConnector):
    """One task, unless it says how the source is divided."""

    def divided(self, name: str, parts: Sequence[str], max_tasks: int) -> Sequence[Config]:
        """A configuration for each task, with its share of these in turns, as JSON under `name`."""
        count = max(1, min(max_tasks, len(parts)))
        return [{**self.started_with, name: json.dumps(parts[number::count])} for number in range(count)]


class BuiltInSinkConnector(_BuiltInConnector, SinkConnector):
    """Tasks are all alike: the partitions of its topics are divided among them."""

    def task_configs(self, max_tasks: int) -> Sequence[Config]:
        return [self.started_with] * max_tasks


def with_checks(
    connector: Connector, config: Config, values: list[ConfigValue], checks: Checks
) -> list[ConfigValue]:
    """What is wrong with a configuration, with what these checks say where each value is right by itself."""
    if not any(value.errors for value in values):
        by_name = {value.name: value for value in values}
        settings = connector.settings(config)
        for name, check in checks.items():
            try:
                check(settings)
            except ConfigError as error:
                by_name[name].errors.append(str(error))
    return values


def needs(library: str, extra: str, error: ImportError) -> ConfigError:
    """The error where a connector's library is not installed."""
    return ConfigError(f"{library} is not installed ({error}): pip install 'ottla[{extra}]'")
