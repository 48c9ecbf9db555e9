"""Whether a newer .proto file's messages read what an older one's wrote, as Confluent's registry has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.schemas.limits import MAX_PAIRS, Budget
from ottla.schemas.protobuf.model import SCALARS, Enum, Field, Message
from ottla.schemas.protobuf.names import Names, Scope
from ottla.schemas.schema import Incompatibility, Sides, incompatibility
from ottla.schemas.walk import Finding, Found, Look, Step, Walk

__all__ = ["compare"]

_MESSAGES: Final[Mapping[str, str]] = {
    "PACKAGE_CHANGED": "The package of the {reader} schema is not that of the {writer} one",
    "MESSAGE_REMOVED": "The {reader} schema lacks a message of the {writer} one",
    "FIELD_KIND_CHANGED": "A scalar, message or map of the {reader} schema is not one in the {writer} one",
    "FIELD_SCALAR_KIND_CHANGED": "A scalar of the {reader} schema is not read as the {writer} one writes it",
    "FIELD_NAMED_TYPE_CHANGED": "A field's message in the {reader} schema is not that of the {writer} one",
    "FIELD_NUMERIC_LABEL_CHANGED": "A number of the {reader} schema has not the label of the {writer} one",
    "REQUIRED_FIELD_ADDED": "A required field of the {reader} schema is not in the {writer} one",
    "REQUIRED_FIELD_REMOVED": "The {reader} schema lacks a required field of the {writer} one",
    "ONEOF_FIELD_REMOVED": "The {reader} schema lacks a field of a oneof of the {writer} one",
    "MULTIPLE_FIELDS_MOVED_TO_ONEOF": "Fields of the {writer} schema exclude each other in the {reader} one",
    "FIELD_MOVED_TO_EXISTING_ONEOF": "A oneof of the {reader} schema got a field from elsewhere",
}
_KINDS: Final[Mapping[str, str]] = (
    dict.fromkeys(("int32", "int64", "uint32", "uint64", "bool"), "varint")
    | dict.fromkeys(("sint32", "sint64"), "zigzag")
    | dict.fromkeys(("string", "bytes"), "length-delimited")
    | dict.fromkeys(("fixed32", "sfixed32"), "32 bits")
    | dict.fromkeys(("fixed64", "sfixed64"), "64 bits")
    | {"float": "float", "double": "double"}
)
"""How a scalar is written; within a kind one is read as another."""


def compare(old: Names, new: Names, sides: Sides) -> list[Incompatibility]:
    """Why messages of `new` do not read those of `old`. Raises `InvalidSchemaError` beyond the limits."""
    walk = Walk(_Comparison(old, new).look, Budget("The comparison", MAX_PAIRS))
    return [
        incompatibility(each.type, _MESSAGES[each.type], "#/" + "/".join(each.path), each.info, sides)
        for each in walk.compare(old.root, new.root)
    ]


class _Comparison:
    """Paths are by the messages' own names, wherever they were met."""

    def __init__(self, old: Names, new: Names) -> None:
        self._old = old
        self._new = new

    def look(self, old: Scope, new: Scope) -> Look[Scope]:
        found: list[Found] = []
        if old.type is None and old.package != new.package:
            found.append(Finding("PACKAGE_CHANGED", (), f"{old.package} became {new.package}"))
        if isinstance(old.type, Message) and isinstance(new.type, Message):
            found += _one_ofs(old.type, new.type, new.path)
            found += yield from self._fields(old, old.type, new, new.type)
        for name, inner in old.types.items():
            if not isinstance(inner.type, Message):
                continue
            other = new.types.get(name)
            if other is not None and isinstance(other.type, Message):
                found += yield inner, other
            elif not inner.type.is_map_entry():
                found.append(Finding("MESSAGE_REMOVED", inner.path, name))
        return found

    def _fields(self, old: Scope, was: Message, new: Scope, now: Message) -> Step[Scope]:
        before, after = _by_tag(was), _by_tag(now)
        stays = {name for tag, (_, name) in before.items() if name and tag in after}
        stays |= {each.name for each in now.one_ofs}
        found: list[Found] = []
        for tag in sorted(before.keys() | after.keys()):
            path = (*new.path, str(tag))
            if tag not in after:
                field, one_of = before[tag]
                if one_of in stays:
                    found.append(Finding("ONEOF_FIELD_REMOVED", (*new.path, one_of, str(tag)), field.name))
                elif not one_of and field.label == "required":
                    found.append(Finding("REQUIRED_FIELD_REMOVED", path, field.name))
                continue
            field, one_of = after[tag]
            if tag in before:
                where = (*new.path, one_of, str(tag)) if one_of else path
                found += yield from self._field(old, before[tag][0], new, field, where)
            elif not one_of and field.label == "required":
                found.append(Finding("REQUIRED_FIELD_ADDED", path, field.name))
        return found

    def _field(self, old: Scope, was: Field, new: Scope, now: Field, path: tuple[str, ...]) -> Step[Scope]:
        found = yield from self._types(old, was.type, new, now.type, path)
        labelled = was.label and now.label and was.label != now.label
        scalar = self._kind(self._old, was.type, old) == "scalar"
        if not found and labelled and scalar and _KINDS.get(was.type) != "length-delimited":
            found.append(Finding("FIELD_NUMERIC_LABEL_CHANGED", path, f"{was.label} became {now.label}"))
        return found

    def _types(self, old: Scope, was: str, new: Scope, now: str, path: tuple[str, ...]) -> Step[Scope]:
        kind = self._kind(self._old, was, old)
        if kind != self._kind(self._new, now, new):
            return [Finding("FIELD_KIND_CHANGED", path, f"{was} became {now}")]
        if kind == "scalar":
            # An enum is written as a varint.
            if _KINDS.get(was, "varint") == _KINDS.get(now, "varint"):
                return []
            return [Finding("FIELD_SCALAR_KIND_CHANGED", path, f"{was} became {now}")]
        if kind == "message":
            return (yield from self._messages(old, was, new, now, path))
        before, after = self._old.map_of(was, old), self._new.map_of(now, new)
        assert before is not None
        assert after is not None
        found: list[Found] = []
        for first, second in zip(before, after, strict=True):
            found += yield from self._types(old, first, new, second, path)
        return found

    def _messages(self, old: Scope, was: str, new: Scope, now: str, path: tuple[str, ...]) -> Step[Scope]:
        first, second = self._old.resolve(was, old), self._new.resolve(now, new)
        changed = Finding("FIELD_NAMED_TYPE_CHANGED", path, f"{was} became {now}")
        if first is None or second is None:
            return [] if was == now else [changed]
        if first.path != second.path:
            return [changed]
        if not first.origin and not second.origin:
            return []  # the file's own messages are compared anyway, by name
        inside = yield first, second
        return [*inside, changed] if inside else []

    def _kind(self, names: Names, type_: str, scope: Scope) -> str:
        if type_ in SCALARS:
            return "scalar"
        if names.map_of(type_, scope) is not None:
            return "map"
        found = names.resolve(type_, scope)
        return "scalar" if found is not None and isinstance(found.type, Enum) else "message"


def _by_tag(message: Message) -> Mapping[int, tuple[Field, str]]:
    """Each field, with the name of its oneof."""
    fields = {field.tag: (field, "") for field in message.fields}
    return fields | {field.tag: (field, one_of.name) for one_of in message.one_ofs for field in one_of.fields}


def _one_ofs(old: Message, new: Message, path: tuple[str, ...]) -> list[Finding]:
    """Fields that could be there together before, and cannot any more."""
    before = _by_tag(old)
    found: list[Finding] = []
    for one_of in new.one_ofs:
        origins = dict.fromkeys(
            before[each.tag][1] or each.tag for each in one_of.fields if each.tag in before
        )
        if len(origins) > 1:
            alone = sum(isinstance(origin, int) for origin in origins)
            how = "MULTIPLE_FIELDS_MOVED_TO_ONEOF" if alone > 1 else "FIELD_MOVED_TO_EXISTING_ONEOF"
            found.append(Finding(how, (*path, one_of.name), one_of.name))
    return found
