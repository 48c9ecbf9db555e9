"""The objects that requests decode to.

Handlers don't see versions: an entity answers every field that any version of its API has. What its own
version lacks gives the schema's default, looked up among the other versions when first asked for and then
kept on the class. So a newest-version request, which has nearly everything, never loads the schemas of the
older ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from ottla.protocol.kio_schemas import known_versions, request_struct
from ottla.protocol.schema import Field, Struct


class Entity:
    """A decoded struct: its fields are attributes, to be read only. Equal where class and fields are."""

    __slots__: ClassVar[tuple[str, ...]] = ()
    _api_key: ClassVar[int]
    _path: ClassVar[str]

    def __getattr__(self, name: str) -> Any:
        """Called for what the version lacks."""
        if name.startswith("_"):
            raise AttributeError(name)
        cls = type(self)
        try:
            default = absent_defaults(cls._api_key)[cls._path][name]
        except KeyError:
            raise AttributeError(f"no version of {cls.__name__} has {name!r}") from None
        setattr(cls, name, default)
        return default

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name)!r}" for name in type(self).__slots__)
        return f"{type(self).__name__}({', '.join(values)})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self).__slots__)

    __hash__ = None  # type: ignore[assignment]


def entity_class(api_key: int, struct: Struct, path: str) -> type[Entity]:
    """A class for one struct at one version. `path` is where it stands in the request: `""`,
    `"topics.partitions"`.
    """
    names = tuple(each.name for each in struct.fields)
    return type(struct.name, (Entity,), {"__slots__": names, "_api_key": api_key, "_path": path})


@cache
def absent_defaults(api_key: int) -> Mapping[str, Mapping[str, Any]]:
    """By path, the default of every field of every version; the newest version that has a field decides."""
    found: dict[str, dict[str, Any]] = {}
    for version in known_versions(api_key):
        _collect(api_key, request_struct(api_key, version), "", found)
    return found


def _collect(api_key: int, struct: Struct, path: str, found: dict[str, dict[str, Any]]) -> None:
    defaults = found.setdefault(path, {})
    for each in struct.fields:
        defaults[each.name] = default_of(api_key, each, path)
        if each.struct is not None:
            _collect(api_key, each.struct, child_path(path, each), found)


def default_of(api_key: int, each: Field, path: str) -> Any:
    """A field's default as handlers see it: a struct's is an entity of defaults."""
    if each.struct is None or each.array or each.default is None:
        return each.default
    path = child_path(path, each)
    instance = object.__new__(entity_class(api_key, each.struct, path))
    for nested in each.struct.fields:
        setattr(instance, nested.name, default_of(api_key, nested, path))
    return instance


def child_path(path: str, each: Field) -> str:
    """The path of the struct in a field of the struct at `path`."""
    return f"{path}.{each.name}" if path else each.name
