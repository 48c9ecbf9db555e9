"""Names of fields, and paths to fields within fields (KIP-821): `a.b`, names with dots in backticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ottla.connect.data.schema import Field, Schema, Struct, Value
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError
from ottla.connect.settings import Settings
from ottla.connect.transforms.interface import require_map, require_struct
from ottla.connect.validators import OneOfIgnoringCase

__all__ = ["FieldPath", "define_field_syntax", "is_nested"]

_SYNTAX: Final = "field.syntax.version"
_PURPOSE: Final = "nested field access"


def define_field_syntax(definition: ConfigDef) -> ConfigDef:
    """The setting that says whether names are paths."""
    return definition.define(
        _SYNTAX,
        ConfigType.STRING,
        "V1",
        Importance.HIGH,
        "V1 takes names of fields as they are; V2 takes them for paths, whose steps are parted by dots, with "
        "backticks around a step that has dots itself.",
        validator=OneOfIgnoringCase("V1", "V2"),
    )


def is_nested(settings: Settings) -> bool:
    """Whether the settings say that names are paths."""
    return settings.string(_SYNTAX).upper() == "V2"


class FieldPath:
    """Where a field is in a struct or a map."""

    def __init__(self, text: str, *, nested: bool) -> None:
        """Raises ConfigError for a backtick without its match."""
        self.text: Final = text
        steps = _steps(text) if nested else [text]
        self._outer: Final[Sequence[str]] = steps[:-1]
        self._last: Final = steps[-1] if steps else ""

    def field_of(self, schema: Schema) -> Field | None:
        """The field's definition, or None. Raises DataError where the way goes through what is no struct."""
        for step in self._outer:
            field = schema.field(step)
            if field is None:
                return None
            schema = field.schema
        return schema.field(self._last)

    def value_of_struct(self, struct: Struct, *, with_default: bool) -> Value:
        """The field's value; None where it, or one on the way to it, is not there or null."""
        for step in self._outer:
            inner = None if struct.schema.field(step) is None else struct[step]
            if inner is None:
                return None
            struct = require_struct(inner, _PURPOSE)
        if struct.schema.field(self._last) is None:
            return None
        return struct[self._last] if with_default else struct.without_default(self._last)

    def value_of_map(self, value: dict[Value, Value]) -> Value:
        """The field's value; None where it, or one on the way to it, is not there or null."""
        for step in self._outer:
            inner = value.get(step)
            if inner is None:
                return None
            value = require_map(inner, _PURPOSE)
        return value.get(self._last)


def _steps(path: str) -> list[str]:
    steps: list[str] = []
    at = 0
    while at < len(path):
        if path[at] == "`":
            step, at = _quoted_step(path, at)
        else:
            end = path.find(".", at)
            end = len(path) if end < 0 else end
            step, at = path[at:end], end + 1
        steps.append(step)
    if path.endswith("."):
        steps.append("")
    return steps


def _quoted_step(path: str, opened: int) -> tuple[str, int]:
    """The step whose backtick opens here, and where the next one begins."""
    step, start, at = "", opened + 1, opened + 1
    while True:
        at = path.find("`", at)
        escaped = at > 0 and path[at - 1] == "\\"
        last = at == len(path) - 1
        if at < 0 or (last and escaped):
            raise ConfigError(
                f"Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at "
                f"position {opened} to escape it"
            )
        if last:
            return step + path[start:at], at + 1
        if path[at + 1] == "." and not escaped:
            return step + path[start:at], at + 2
        if path[at + 1] == ".":
            step, start = step + path[start : at - 1] + "`", at + 1
        at += 1
