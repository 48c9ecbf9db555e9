"""Reads message definitions: JSON with `//` comments, inside Kafka's jars."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*')
_FOLDERS = ("common/message/", "message/")
_ENDLESS = 1 << 15


class DefinitionError(Exception):
    """A definition that this tool does not understand."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field, as it is defined."""

    name: str
    type: str
    """Of the elements, where it is an array."""
    array: bool
    versions: str
    nullable: str
    default: object
    """As in the definition; `...` where it has none."""
    tag: int | None
    struct: Struct | None


@dataclass(frozen=True, slots=True)
class Struct:
    """A message, or a struct inside one."""

    name: str
    fields: tuple[Field, ...]

    def inner(self) -> Iterator[Struct]:
        """All structs inside, each before what it is used in; those in several places several times."""
        for each in self.fields:
            if each.struct is not None:
                yield from each.struct.inner()
                yield each.struct


@dataclass(frozen=True, slots=True)
class Message:
    """A message with all its versions."""

    kind: str
    """`request`, `response`, `coordinator-key`, `coordinator-value`, `metadata`, `data` or `header`."""
    key: int
    """Of the API, or the type of a record; -1 where there is none."""
    versions: str
    flexible: str
    latest_unstable: bool
    struct: Struct

    @property
    def name(self) -> str:
        """Kafka's."""
        return self.struct.name


def read(jars: Iterable[Path]) -> list[Message]:
    """All messages in the jars that have versions, by name."""
    found: dict[str, Message] = {}
    for jar in jars:
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                if name.endswith(".json") and name.startswith(_FOLDERS):
                    message = _message(_parse(archive.read(name).decode()))
                    if message is not None:
                        found[message.name] = message
    return [found[name] for name in sorted(found)]


def parse_versions(text: str) -> tuple[int, int]:
    """The first and the last version of a range; nothing is (0, -1)."""
    if text == "none":
        return 0, -1
    if text.endswith("+"):
        return int(text[:-1]), _ENDLESS
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _parse(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(_STRING_OR_COMMENT.sub(lambda match: match[1] or "", text))
    return parsed


def _message(definition: dict[str, Any]) -> Message | None:
    versions = definition["validVersions"]
    if versions == "none":
        return None
    common = {each["name"]: each["fields"] for each in definition.get("commonStructs", ())}
    return Message(
        kind=definition["type"],
        key=definition.get("apiKey", -1),
        versions=versions,
        flexible=definition["flexibleVersions"],
        latest_unstable=definition.get("latestVersionUnstable", False),
        struct=_struct(definition["name"], definition["fields"], common, ()),
    )


def _struct(
    name: str, fields: list[dict[str, Any]], common: dict[str, Any], outer: tuple[str, ...]
) -> Struct:
    if name in outer:
        raise DefinitionError(f"{name} contains itself")
    return Struct(name, tuple(_field(each, common, (*outer, name)) for each in fields))


def _field(definition: dict[str, Any], common: dict[str, Any], outer: tuple[str, ...]) -> Field:
    name, type_ = definition["name"], definition["type"]
    tagged = definition.get("taggedVersions", "none")
    versions = definition.get("versions", tagged)
    if tagged not in ("none", versions):
        raise DefinitionError(f"{name}: tagged in {tagged} of {versions}")
    array = type_.startswith("[]")
    element = type_.removeprefix("[]")
    struct = None
    if element[0].isupper():
        fields = definition.get("fields") or common[element]
        struct = _struct(element, fields, common, outer)
    return Field(
        name=name,
        type=element,
        array=array,
        versions=versions,
        nullable=definition.get("nullableVersions", "none"),
        default=definition.get("default", ...),
        tag=definition["tag"] if tagged != "none" else None,
        struct=struct,
    )
