"""Between typed messages and plain dicts, which tests find easier to write, draw and compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ottla.protocol.layout import Layout, layout_of
from ottla.protocol.structs import Struct


def from_dict(class_: type[Struct], message: Mapping[str, Any], *, strict: bool = True) -> Any:
    """TypeError for a key that no version has, unless such keys are to be ignored."""
    names = message.keys() if strict else [name for name in message if name in class_.__fields__]
    return class_(**{name: _typed(class_, name, message[name], strict) for name in names})


def _typed(class_: type[Struct], name: str, value: Any, strict: bool) -> Any:
    spec = class_.__fields__.get(name)
    if spec is None or isinstance(spec.type, str):
        return value
    inner = spec.type
    if isinstance(value, list | tuple):
        return [
            from_dict(inner, each, strict=strict) if isinstance(each, Mapping) else each for each in value
        ]
    return from_dict(inner, value, strict=strict) if isinstance(value, Mapping) else value


def to_dict(message: Struct, version: int) -> dict[str, Any]:
    """The fields of a version."""
    return _plain(message, layout_of(type(message), version))


def _plain(message: Any, layout: Layout) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for each in layout.fields:
        value = getattr(message, each.name)
        inner = each.struct
        if value is not None and each.array:
            value = [element if inner is None else _plain(element, inner) for element in value]
        elif value is not None and inner is not None:
            value = _plain(value, inner)
        plain[each.name] = value
    return plain
