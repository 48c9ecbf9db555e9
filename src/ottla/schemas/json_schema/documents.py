"""Where a `$ref` leads: within a schema, into the schemas that it refers to, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

from ottla.schemas.json_schema.drafts import Draft, is_metaschema
from ottla.schemas.json_text import Json, JsonObject, is_array
from ottla.schemas.limits import Budget
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Documents", "Place"]

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_NOT_SCHEMAS: Final = frozenset({"enum", "const", "default", "examples", "example"})
"""What is in these is data, whatever it looks like."""


_MAX_DIGITS: Final = 8
"""Of a position in an array."""


class Place(NamedTuple):
    """What a schema's own text does not say of it: the URI that its references start from, and its draft."""

    base: str
    draft: Draft


class Documents:
    """A schema and those that it refers to, indexed by the URIs and anchors that references name."""

    def __init__(self, root: Json, references: Mapping[str, Json], budget: Budget) -> None:
        self._budget = budget
        self._schemas: dict[str, Json] = {}
        """By URI without fragment."""
        self._anchors: dict[tuple[str, str], Json] = {}
        self._places: dict[int, Place] = {}
        self.draft = Draft.of(root, Draft.DRAFT_7)
        base = self._identity(root, self.draft)
        self._index(root, base, self.draft)
        self._root = root
        for name, document in references.items():
            uri = _join(base, name)
            self._index(document, uri, Draft.of(document, self.draft))
            for each in (uri, name.removeprefix("./")):
                self._schemas.setdefault(each, document)

    def _identity(self, schema: Json, draft: Draft) -> str:
        identity = schema.get(draft.id_keyword) if isinstance(schema, Mapping) else None
        return urldefrag(identity)[0] if isinstance(identity, str) and _is_uri(identity) else ""

    def _index(self, document: Json, base: str, draft: Draft) -> None:
        self._schemas.setdefault(base, document)
        ahead: list[tuple[Json, str]] = [(document, base)]
        while ahead:
            value, base = ahead.pop()
            self._budget.spend()
            if isinstance(value, Mapping):
                base = self._index_schema(value, base, draft)
                ahead.extend((each, base) for key, each in value.items() if key not in _NOT_SCHEMAS)
            elif is_array(value):
                ahead.extend((each, base) for each in value)

    def _index_schema(self, value: JsonObject, base: str, draft: Draft) -> str:
        identity = value.get(draft.id_keyword)
        if isinstance(identity, str) and _is_uri(identity) and (draft.modern or "$ref" not in value):
            uri, fragment = urldefrag(_join(base, identity))
            if uri != base:
                base = uri
                self._schemas.setdefault(base, value)
            if fragment:
                self._anchors.setdefault((base, fragment), value)
        for keyword in ("$anchor", "$dynamicAnchor") if draft.modern else ():
            anchor = value.get(keyword)
            if isinstance(anchor, str):
                self._anchors.setdefault((base, anchor), value)
        self._places[id(value)] = Place(base, draft)
        return base

    def place(self, schema: JsonObject) -> Place:
        return self._places.get(id(schema), Place("", self.draft))

    def reference(self, schema: JsonObject) -> Json:
        """The schema that `schema` refers to; None if it has no reference.

        Raises `InvalidSchemaError` if there is no such schema.
        """
        for keyword in _REFERENCES:
            uri = schema.get(keyword)
            if isinstance(uri, str):
                self._budget.spend()
                return self._find(uri, self.place(schema).base)
        return None

    def _find(self, reference: str, base: str) -> Json:
        if is_metaschema(reference):
            return True
        joined = _join(base, reference)
        uri, fragment = urldefrag(joined)
        if uri not in self._schemas:
            uri = urldefrag(reference)[0].removeprefix("./")
        document = self._schemas.get(uri) if uri else self._schemas.get(base, self._root)
        if document is None:
            raise InvalidSchemaError(f"The reference {reference} leads to no schema of that name")
        found = self._in_document(document, uri, unquote(fragment))
        if found is None or not isinstance(found, bool | Mapping):
            raise InvalidSchemaError(f"The reference {reference} leads to no schema")
        return found

    def _in_document(self, document: Json, uri: str, fragment: str) -> Json:
        if not fragment:
            return document
        if not fragment.startswith("/"):
            return self._anchors.get((uri, fragment))
        parts = [part.replace("~1", "/").replace("~0", "~") for part in fragment[1:].split("/")]
        found = _walk(document, parts)
        if found is None and parts[0] == "$defs":
            # Where an older draft's definitions are referred to in the newer way.
            found = _walk(document, ["definitions", *parts[1:]])
        return found


def _walk(value: Json, parts: Sequence[str]) -> Json:
    for part in parts:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif is_array(value) and part.isdecimal() and len(part) < _MAX_DIGITS:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


def _is_uri(text: str) -> bool:
    try:
        urljoin("", text)
    except ValueError:
        return False
    return True


def _join(base: str, uri: str) -> str:
    try:
        return base + uri if uri.startswith("#") else urljoin(base, uri.removeprefix("./"))
    except ValueError:
        raise InvalidSchemaError(f"No URI: {uri}") from None
