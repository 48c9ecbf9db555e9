"""The objects that requests decode to.

Handlers don't see versions: an entity answers every field that any version of its API has. What its own
version lacks gives the schema's default, looked up among the other versions when first asked for and then
kept on the class. So a newest-version request, which has nearly everything, never loads the schemas of the
older ones.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ottla.protocol.kio_schemas import api_name, known_versions, request_struct
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
        default = _absent_default(cls._api_key, cls._path, name)
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


def _absent_default(api_key: int, path: str, name: str) -> Any:
    """The default of a field in the newest version that has it; newest first, as nearly all are there."""
    for version in reversed(known_versions(api_key)):
        struct = _struct_at(request_struct(api_key, version), path)
        for each in struct.fields if struct is not None else ():
            if each.name == name:
                return _default_of(api_key, each, path)
    raise AttributeError(f"no version of {api_name(api_key)} has {name!r} in {path or 'the request'}")


def _struct_at(struct: Struct, path: str) -> Struct | None:
    found: Struct | None = struct
    for name in path.split(".") if path else ():
        if found is not None:
            found = next((each.struct for each in found.fields if each.name == name), None)
    return found


def _default_of(api_key: int, each: Field, path: str) -> Any:
    """A field's default as handlers see it: a struct's is an entity of defaults."""
    if each.struct is None or each.array or each.default is None:
        return each.default
    path = child_path(path, each)
    instance = object.__new__(entity_class(api_key, each.struct, path))
    for nested in each.struct.fields:
        setattr(instance, nested.name, _default_of(api_key, nested, path))
    return instance


def child_path(path: str, each: Field) -> str:
    """The path of the struct in a field of the struct at `path`."""
    return f"{path}.{each.name}" if path else each.name
