"""A message at one version: what `encode` and `decode` compile to functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ottla.protocol.structs import FieldSpec, Struct, version_range

FIXED_FORMATS: Final[Mapping[str, str]] = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "int64": "q",
    "float64": "d",
    "uuid": "16s",
}
"""Types of fixed size, with the `struct` format of each."""


class FieldLayout(NamedTuple):
    """One field of a struct at one version; `default` stands for it where it is absent."""

    name: str
    type: str
    array: bool = False
    nullable: bool = False
    default: Any = None
    tag: int | None = None
    struct: Layout | None = None


class Layout(NamedTuple):
    """A message, or a struct inside one, at one version. `flexible` as in KIP-482: compact lengths, tagged
    fields. `class_` is what it decodes to.
    """

    name: str
    flexible: bool
    fields: tuple[FieldLayout, ...]
    class_: type[Struct] | None = None

    @property
    def positional(self) -> tuple[FieldLayout, ...]:
        return tuple(each for each in self.fields if each.tag is None)

    @property
    def tagged(self) -> tuple[FieldLayout, ...]:
        """The tagged fields in ascending order of tags, which is the order on the wire."""
        return tuple(sorted((each for each in self.fields if each.tag is not None), key=_tag_of))


def _tag_of(each: FieldLayout) -> int:
    assert each.tag is not None
    return each.tag


def layout_of(class_: type[Struct], version: int) -> Layout:
    """Of a message; ValueError for a version that it has not."""
    if version not in class_.__versions__:
        raise ValueError(f"{class_.__name__} has no version {version}")
    return _layout(class_, version, version in class_.__flexible__)


def _layout(class_: type[Struct], version: int, flexible: bool) -> Layout:
    fields = (
        _field_layout(name, spec, version, flexible)
        for name, spec in class_.__fields__.items()
        if version in version_range(spec.versions)
    )
    return Layout(class_.__name__, flexible, tuple(fields), class_)


def _field_layout(name: str, spec: FieldSpec, version: int, flexible: bool) -> FieldLayout:
    inner = None if isinstance(spec.type, str) else _layout(spec.type, version, flexible)
    return FieldLayout(
        name=name,
        type=spec.type if isinstance(spec.type, str) else "struct",
        array=spec.array,
        nullable=version in version_range(spec.nullable),
        default=spec.default,
        tag=spec.tag,
        struct=inner,
    )
