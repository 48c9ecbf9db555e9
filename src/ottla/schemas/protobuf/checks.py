"""What a file that can be read may still not say, as protoc has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ottla.schemas.protobuf.model import (
    MAX_TAG,
    Enum,
    Field,
    File,
    Group,
    Message,
    Option,
    Range,
    Word,
)
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["check_file"]

_OWN_TAGS: Final = range(19_000, 20_000)
"""Protobuf's own."""
_INT32: Final = 1 << 31


def check_file(file: File) -> None:
    """Raises `InvalidSchemaError`."""
    _check_distinct("the file", [each.name for each in (*file.types, *file.services)])
    ahead = list(file.types)
    while ahead:
        type_ = ahead.pop()
        if isinstance(type_, Enum):
            _check_enum(type_, file.syntax)
        else:
            _check_message(type_, file.syntax)
            ahead.extend(type_.types)


def _check_message(message: Message, syntax: str) -> None:
    members: list[Field | Group] = [*message.fields, *message.groups]
    for one_of in message.one_ofs:
        members += [*one_of.fields, *one_of.groups]
    names = [each.name for each in members] + [each.name for each in (*message.one_ofs, *message.types)]
    _check_distinct(message.name, names)
    _check_distinct(message.name, [each.tag for each in members])
    for member in members:
        if not 1 <= member.tag <= MAX_TAG or member.tag in _OWN_TAGS:
            raise InvalidSchemaError(f"{message.name}.{member.name} cannot have the number {member.tag}")
        if syntax == "proto3" and member.label == "required":
            raise InvalidSchemaError(f"{message.name}.{member.name} is required, which proto3 has not")
    _check_not_reserved(message, members)


def _check_not_reserved(message: Message, members: Iterable[Field | Group]) -> None:
    """Fields and reserved numbers are walked side by side: there may be many of both."""
    reserved = [value for each in message.reserved for value in each.values]
    names = dict.fromkeys(value for value in reserved if isinstance(value, str))
    numbers = [value for value in reserved if not isinstance(value, str)]
    ranges = sorted((each.first, each.last) if isinstance(each, Range) else (each, each) for each in numbers)
    position = last = 0
    for member in sorted(members, key=lambda each: each.tag):
        while position < len(ranges) and ranges[position][0] <= member.tag:
            last = max(last, ranges[position][1])
            position += 1
        if member.tag <= last or member.name in names:
            raise InvalidSchemaError(f"{message.name}.{member.name} = {member.tag} is reserved")


def _check_enum(enum: Enum, syntax: str) -> None:
    if not enum.constants:
        raise InvalidSchemaError(f"The enum {enum.name} has no constants")
    _check_distinct(enum.name, [each.name for each in enum.constants])
    if not _is_set(enum.options, "allow_alias"):
        _check_distinct(enum.name, [each.tag for each in enum.constants])
    if any(not -_INT32 <= each.tag < _INT32 for each in enum.constants):
        raise InvalidSchemaError(f"A constant of {enum.name} is no int32")
    if syntax == "proto3" and enum.constants[0].tag != 0:
        raise InvalidSchemaError(f"The first constant of {enum.name} must be 0 in proto3")


def _is_set(options: Iterable[Option], name: str) -> bool:
    return any(option.name == name and option.value == Word("true") for option in options)


def _check_distinct(where: str, values: Iterable[str | int]) -> None:
    seen: dict[str | int, None] = {}
    for value in values:
        if value in seen:
            raise InvalidSchemaError(f"{where} has {value} twice")
        seen[value] = None
