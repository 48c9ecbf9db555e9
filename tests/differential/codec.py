"""Requests to bytes and responses to dicts, by the message definitions in the jar of Kafka itself.

An interpreter of those definitions: it knows every API and version that this Kafka serves, and shares nothing
with Ottla's own encoders and decoders. Names are Kafka's in snake case. A request names the fields of any of
its versions and leaves out what shall be the default; what a version lacks is not sent.
"""

from __future__ import annotations

import json
import re
import struct
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_FIXED = {
    "bool": "?", "int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q",
    "float64": "d",
}  # fmt: skip
_NO_UUID = uuid.UUID(int=0)
_API_VERSIONS = 18


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _range(text: str | None) -> range:
    if text is None or text == "none":
        return range(0)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1) if text[-1] != "+" else range(int(text[:-1]), 1 << 15)


@dataclass(frozen=True)
class Field:
    """One field of a message, over all its versions."""

    name: str
    type: str
    """Without `[]`; `struct` for whatever has fields."""
    array: bool
    versions: range
    nullable: range
    tagged: range
    tag: int | None
    given_default: Any
    fields: tuple[Field, ...]

    def default(self) -> Any:
        """What stands for the field where it is left out."""
        text = self.given_default
        if text == "null":
            return None
        if self.array:
            return []
        if self.type == "struct":
            return {}
        if self.type in ("string", "uuid", "bytes", "records"):
            return {"string": text or "", "uuid": _NO_UUID, "bytes": b"", "records": b""}[self.type]
        if self.type == "bool":
            return str(text).lower() == "true"
        if self.type == "float64":
            return float(text or 0)
        return int(str(text or 0), 0)


@dataclass(frozen=True)
class Message:
    """A request or response, over all its versions."""

    name: str
    versions: range
    """Those that are stable."""
    flexible: range
    fields: tuple[Field, ...]


def _fields(described: list[dict[str, Any]], common: Mapping[str, list[dict[str, Any]]]) -> Iterator[Field]:
    for each in described:
        array = each["type"].startswith("[]")
        type_ = each["type"].removeprefix("[]")
        nested = each.get("fields") or common.get(type_)
        yield Field(
            name=_snake(each["name"]),
            type="struct" if nested is not None else type_,
            array=array,
            versions=_range(each["versions"]),
            nullable=_range(each.get("nullableVersions")),
            tagged=_range(each.get("taggedVersions")),
            tag=each.get("tag"),
            given_default=each.get("default"),
            fields=tuple(_fields(nested or [], common)),
        )


def _message(described: dict[str, Any]) -> Message:
    common = {each["name"]: each["fields"] for each in described.get("commonStructs", [])}
    versions = _range(described["validVersions"])
    if described.get("latestVersionUnstable"):
        versions = versions[:-1]
    fields = tuple(_fields(described["fields"], common))
    return Message(described["name"], versions, _range(described["flexibleVersions"]), fields)


@dataclass(frozen=True)
class Api:
    """One API: its key and both of its messages."""

    key: int
    name: str
    request: Message
    response: Message


@dataclass
class Codec:
    """The APIs of one release of Kafka."""

    apis: dict[str, Api] = field(default_factory=dict)

    def request(
        self,
        name: str,
        version: int,
        correlation_id: int,
        body: Mapping[str, Any],
        client_id: str = "differential",
    ) -> bytes:
        """A request without its size: header and message. KeyError for a field that no version has."""
        api = self.apis[name]
        flexible = version in api.request.flexible
        client = client_id.encode()
        header = struct.pack(">hhih", api.key, version, correlation_id, len(client)) + client
        writer = _Writer(version, flexible)
        writer.struct(api.request.fields, body)
        return header + (b"\0" if flexible else b"") + bytes(writer.data)

    def response(self, name: str, version: int, frame: bytes) -> tuple[int, dict[str, Any]]:
        """Correlation id and message; ValueError where bytes are left over or missing."""
        api = self.apis[name]
        flexible = version in api.response.flexible
        reader = _Reader(frame, version, flexible)
        correlation_id = reader.fixed("int32")
        if flexible and api.key != _API_VERSIONS:
            reader.tags(())
        try:
            message = reader.struct(api.response.fields)
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ValueError(f"{name} {version}: {error}") from error
        if reader.position != len(frame):
            raise ValueError(f"{name} {version}: {len(frame) - reader.position} bytes left over")
        return correlation_id, message


@cache
def load(jar: Path) -> Codec:
    """The definitions in `kafka-clients-*.jar`."""
    messages: dict[tuple[int, str], Message] = {}
    with zipfile.ZipFile(jar) as archive:
        for path in archive.namelist():
            if path.startswith("common/message/") and path.endswith(("Request.json", "Response.json")):
                text = re.sub(r"(?m)^\s*//.*$", "", archive.read(path).decode())
                described = json.loads(text)
                if described["validVersions"] != "none":  # what went with ZooKeeper is still there by name
                    messages[described["apiKey"], described["type"]] = _message(described)
    return Codec(
        {
            request.name.removesuffix("Request"): Api(
                key, request.name.removesuffix("Request"), request, messages[key, "response"]
            )
            for (key, type_), request in messages.items()
            if type_ == "request"
        }
    )


class _Writer:
    def __init__(self, version: int, flexible: bool) -> None:
        self.version, self.flexible, self.data = version, flexible, bytearray()

    def struct(self, fields: tuple[Field, ...], values: Mapping[str, Any]) -> None:
        if unknown := values.keys() - {each.name for each in fields}:
            raise KeyError(f"no such fields: {sorted(unknown)}")
        tagged: list[tuple[int, bytes]] = []
        for each in fields:
            if self.version not in each.versions:
                continue
            value = values.get(each.name, each.default())
            if self.version not in each.tagged:
                self._value(each, value)
            elif value != each.default():
                inner = _Writer(self.version, self.flexible)
                inner._value(each, value)
                assert each.tag is not None
                tagged.append((each.tag, bytes(inner.data)))
        if self.flexible:
            self._varint(len(tagged))
            for tag, data in sorted(tagged):
                self._varint(tag)
                self._varint(len(data))
                self.data += data

    def _value(self, each: Field, value: Any) -> None:
        if each.array:
            self._length(None if value is None else len(value), "i")
            for element in value or ():
                self._scalar(each, element, in_array=True)
        else:
            self._scalar(each, value)

    def _scalar(self, each: Field, value: Any, *, in_array: bool = False) -> None:
        if each.type == "struct":
            if not in_array and self.version in each.nullable:
                self.data += struct.pack(">b", -1 if value is None else 1)
                if value is None:
                    return
            self.struct(each.fields, value)
        elif each.type == "uuid":
            self.data += value.bytes
        elif each.type in _FIXED:
            self.data += struct.pack(">" + _FIXED[each.type], value)
        else:
            data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
            self._length(None if data is None else len(data), "h" if each.type == "string" else "i")
            self.data += data or b""

    def _length(self, length: int | None, layout: str) -> None:
        if self.flexible:
            self._varint(0 if length is None else length + 1)
        else:
            self.data += struct.pack(">" + layout, -1 if length is None else length)

    def _varint(self, value: int) -> None:
        while value > 0x7F:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)


class _Reader:
    def __init__(self, data: bytes, version: int, flexible: bool) -> None:
        self.data, self.version, self.flexible, self.position = data, version, flexible, 0

    def fixed(self, type_: str) -> Any:
        layout = ">" + _FIXED[type_]
        (value,) = struct.unpack_from(layout, self.data, self.position)
        self.position += struct.calcsize(layout)
        return value

    def struct(self, fields: tuple[Field, ...]) -> dict[str, Any]:
        present = [each for each in fields if self.version in each.versions]
        values = {each.name: self._value(each) for each in present if self.version not in each.tagged}
        if self.flexible:
            tagged = tuple(each for each in present if self.version in each.tagged)
            values |= {each.name: each.default() for each in tagged} | self.tags(tagged)
        return values

    def tags(self, fields: tuple[Field, ...]) -> dict[str, Any]:
        known = {each.tag: each for each in fields}
        values = {}
        for _ in range(self._varint()):
            tag, size = self._varint(), self._varint()
            end = self.position + size
            if tag not in known:
                raise ValueError(f"an unknown tag {tag}")
            values[known[tag].name] = self._value(known[tag])
            if self.position != end:
                raise ValueError(f"tag {tag} has another size than it says")
        return values

    def _value(self, each: Field) -> Any:
        if not each.array:
            return self._scalar(each)
        count = self._length("i")
        return None if count is None else [self._scalar(each, in_array=True) for _ in range(count)]

    def _scalar(self, each: Field, *, in_array: bool = False) -> Any:
        if each.type == "struct":
            if not in_array and self.version in each.nullable and self.fixed("int8") < 0:
                return None
            return self.struct(each.fields)
        if each.type == "uuid":
            return uuid.UUID(bytes=self._take(16))
        if each.type in _FIXED:
            return self.fixed(each.type)
        length = self._length("h" if each.type == "string" else "i")
        if length is None:
            return None
        data = self._take(length)
        return data.decode() if each.type == "string" else data

    def _take(self, size: int) -> bytes:
        data = self.data[self.position : self.position + size]
        if len(data) != size:
            raise ValueError("the frame ends early")
        self.position += size
        return data

    def _length(self, layout: str) -> int | None:
        if self.flexible:
            length = self._varint() - 1
        else:
            (length,) = struct.unpack_from(">" + layout, self.data, self.position)
            self.position += struct.calcsize(">" + layout)
        return None if length < 0 else length

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
