"""A .proto file's elements, as they are written: without comments, with all options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "MAX_TAG",
    "SCALARS",
    "Constant",
    "Enum",
    "Extend",
    "Extensions",
    "Field",
    "File",
    "Group",
    "Message",
    "OneOf",
    "Option",
    "Range",
    "Reserved",
    "Rpc",
    "Service",
    "Type",
    "Value",
    "Word",
    "listed",
    "map_types",
    "special_last",
]

MAX_TAG: Final = (1 << 29) - 1
SCALARS: Final = frozenset(
    {"double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool", "string", "bytes"}
    | {"fixed32", "fixed64", "sfixed32", "sfixed64"}
)


class Word(NamedTuple):
    """A value without quotes: a number, true or false, the name of a constant."""

    text: str


Value: TypeAlias = "str | Word | Option | Mapping[str, Value] | Sequence[Value]"
"""A string, a word, the rest of an option with dots, a message, a list."""


@dataclass(slots=True, eq=False)
class Option:
    name: str
    value: Value
    custom: bool = False
    """Whether the name stands in parentheses."""


class Range(NamedTuple):
    """Both ends are in it; `MAX_TAG` or more is `max`."""

    first: int
    last: int


@dataclass(slots=True, eq=False)
class Reserved:
    values: Sequence[str | int | Range]


@dataclass(slots=True, eq=False)
class Extensions:
    values: Sequence[int | Range]
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Field:
    label: str
    """optional, required, repeated, or nothing."""
    type: str
    name: str
    tag: int
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Group:
    label: str
    name: str
    tag: int
    fields: list[Field]


@dataclass(slots=True, eq=False)
class OneOf:
    name: str
    fields: list[Field] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Extend:
    name: str
    fields: list[Field]


@dataclass(slots=True, eq=False)
class Constant:
    name: str
    tag: int
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Enum:
    name: str
    constants: list[Constant] = field(default_factory=list)
    reserved: list[Reserved] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Message:
    name: str
    fields: list[Field] = field(default_factory=list)
    one_ofs: list[OneOf] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    types: list[Type] = field(default_factory=list)
    reserved: list[Reserved] = field(default_factory=list)
    extensions: list[Extensions] = field(default_factory=list)
    extends: list[Extend] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)

    def is_map_entry(self) -> bool:
        """Whether it is what a descriptor has for a field of the type map."""
        return any(option.name == "map_entry" and option.value == Word("true") for option in self.options)


Type: TypeAlias = Message | Enum


@dataclass(slots=True, eq=False)
class Rpc:
    name: str
    request: str
    response: str
    request_streams: bool = False
    response_streams: bool = False
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Service:
    name: str
    rpcs: list[Rpc] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class File:
    syntax: str = ""
    """proto2, proto3, nothing, or an edition such as 2023."""
    package: str = ""
    imports: list[str] = field(default_factory=list)
    public_imports: list[str] = field(default_factory=list)
    weak_imports: list[str] = field(default_factory=list)
    types: list[Type] = field(default_factory=list)
    extends: list[Extend] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)


def listed(value: Value) -> Sequence[Value]:
    """What has one value need not be a list."""
    return value if isinstance(value, list) else [value]


def special_last(options: Iterable[Option]) -> list[Option]:
    """A field's options, after them what is none though it is written as one."""
    return sorted(options, key=lambda each: not each.custom and _SPECIAL.get(each.name, 0))


_SPECIAL: Final = {"default": 1, "json_name": 2}


def map_types(type_: str) -> tuple[str, str] | None:
    """The types of keys and values of `map<key, value>`."""
    if not type_.startswith("map<"):
        return None
    key, _, value = type_[len("map<") : -1].partition(",")
    return key.strip(), value.strip()
