"""How programs of others are configured: their settings behind a prefix, and their variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from ottla.connect.connectors.others.catalogue import Kind
from ottla.connect.connectors.others.environments import Environments, own_variables
from ottla.connect.connectors.others.messages import parse_object
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance, Validator
from ottla.connect.errors import ConfigError
from ottla.connect.sdk import Config
from ottla.connect.settings import Settings, SettingValue, invalid
from ottla.connect.validators import Check

__all__ = ["JSON_OBJECT", "behind", "object_of", "own_config", "program_config", "program_variables"]

_LOADING: Final = re.compile(r"(LD|DYLD)_.*|PYTHON.*|PATH|(BASH_)?ENV")
"""Variables by which a program would run what is neither the catalogue's nor its own"""


def _is_object(name: str, value: SettingValue) -> None:
    text = getattr(value, "value", value)
    if text is None:
        return
    try:
        parse_object(str(text))
    except ValueError as error:
        raise invalid(name, value, f"It must be a JSON object: {error}") from None


JSON_OBJECT: Final[Validator] = Check(_is_object, "a JSON object")


def program_config(definition: ConfigDef, name: str, kind: Kind, config: str) -> ConfigDef:
    """With what says which program it is, and what it is told."""

    def is_known(setting: str, value: SettingValue) -> None:
        if value is not None:
            try:
                Environments().known(str(value), kind)
            except ConfigError as error:
                raise invalid(setting, value, str(error)) from None

    return (
        definition
        .define(name, ConfigType.STRING, REQUIRED, Importance.HIGH,
                f"A {kind.value} of the catalogue, or one that was installed by `ottla connect install`.",
                validator=Check(is_known, f"a {kind.value}"), group="Program", order=1)
        .define(config, ConfigType.PASSWORD, None, Importance.HIGH,
                f"Its configuration, a JSON object. Settings `{config}.NAME` are texts of it, so that "
                "secrets can come from a provider.", validator=JSON_OBJECT, group="Program", order=2)
    )  # fmt: skip


def behind(config: Config, prefix: str) -> dict[str, str]:
    """What is given as `prefix.NAME`, by NAME."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in config.items() if name.startswith(start)}


def program_variables(config: Config, prefix: str) -> dict[str, str]:
    """What a program sees: some of the worker's variables, and those of the settings `prefix.NAME`.
    ConfigError.
    """
    given = behind(config, prefix)
    for name in given:
        if _LOADING.fullmatch(name):
            raise ConfigError(f"{prefix}.{name}: this variable would have the program run other code")
    return own_variables(os.environ) | given


def object_of(settings: Settings, name: str) -> dict[str, object]:
    """A setting's JSON object; an empty one where it is not given."""
    value = settings[name]
    text = getattr(value, "value", value)
    return {} if text is None else parse_object(str(text))


def own_config(settings: Settings, config: Config, name: str) -> Mapping[str, object]:
    """What the program is told: the object, and the texts beside it."""
    return {**object_of(settings, name), **behind(config, name)}
