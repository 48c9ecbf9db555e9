"""What connectors' configurations are held to beside the rules of each setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from ottla.connect.definition import ConfigValue
from ottla.connect.errors import ConfigError
from ottla.connect.sdk import Config, Connector
from ottla.connect.settings import Settings

__all__ = ["Renaming", "needs", "with_checks"]


def with_checks(
    connector: Connector, config: Config, values: list[ConfigValue], **checks: Callable[[Settings], object]
) -> list[ConfigValue]:
    """What is wrong with a configuration: what these checks say where each value is right by itself.

    A check's name is its setting's, with `_` for dots.
    """
    if not any(value.errors for value in values):
        by_name = {value.name: value for value in values}
        settings = connector.settings(config)
        for name, check in checks.items():
            try:
                check(settings)
            except ConfigError as error:
                by_name[name.replace("_", ".")].errors.append(str(error))
    return values


class Renaming(Connector):
    """A connector whose settings others call otherwise: their names are taken where ours are not given."""

    renames: ClassVar[Mapping[str, str]] = {}
    """Our name for each of theirs"""

    def settings(self, config: Config) -> Settings:
        return super().settings(self._renamed(config))

    def validate(self, config: Config) -> list[ConfigValue]:
        return super().validate(self._renamed(config))

    def _renamed(self, config: Config) -> Config:
        others = {ours: config[theirs] for theirs, ours in self.renames.items() if theirs in config}
        return {**others, **config}


def needs(library: str, extra: str, error: ImportError) -> ConfigError:
    """The error where a connector's library is not installed."""
    return ConfigError(f"{library} is not installed ({error}): pip install 'ottla[{extra}]'")
