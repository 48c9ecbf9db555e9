"""What `PUT /connector-plugins/NAME/config/validate` answers: each setting's definition and its value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ottla.connect.definition import REQUIRED, ConfigKey, ConfigValue
from ottla.connect.settings import setting_text

__all__ = ["ConfigInfos", "Json", "config_infos", "key_info"]

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"


def key_info(key: ConfigKey) -> dict[str, Json]:
    """A setting's definition, as the REST face gives it."""
    return {
        "name": key.name,
        "type": key.type.value,
        "required": key.required,
        "default_value": None if key.default is REQUIRED else setting_text(key.default),
        "importance": key.importance.value,
        "documentation": key.doc,
        "group": key.group,
        "width": key.width.value,
        "display_name": key.display_name,
        "dependents": list(key.dependents),
        "order_in_group": key.order,
    }


@dataclass(frozen=True, slots=True)
class ConfigInfos:
    """The result of a validation: definitions with values, errors and what is recommended."""

    name: str
    error_count: int
    groups: Sequence[str]
    configs: Sequence[tuple[ConfigKey | None, ConfigValue | None]]

    def to_json(self) -> dict[str, Json]:
        """As `PUT /connector-plugins/NAME/config/validate` answers."""
        return {
            "name": self.name,
            "error_count": self.error_count,
            "groups": list(self.groups),
            "configs": [
                {
                    "definition": None if key is None else key_info(key),
                    "value": None if value is None else _value_info(value),
                }
                for key, value in self.configs
            ],
        }


def _value_info(value: ConfigValue) -> dict[str, Json]:
    return {
        "name": value.name,
        "value": setting_text(value.value),
        "recommended_values": [setting_text(one) for one in value.recommended_values],
        "errors": list(value.errors),
        "visible": value.visible,
    }


def config_infos(
    name: str, keys: Mapping[str, ConfigKey], values: Iterable[ConfigValue], groups: Sequence[str]
) -> ConfigInfos:
    """Put definitions and values together; values that have no definition come first."""
    by_name = {value.name: value for value in values}
    configs: list[tuple[ConfigKey | None, ConfigValue | None]] = [
        (None, value) for value in by_name.values() if value.name not in keys
    ]
    configs += [(key, by_name.get(key.name)) for key in keys.values()]
    errors = sum(len(value.errors) for value in by_name.values())
    return ConfigInfos(name, errors, groups, configs)
