"""How values of the metadata are written: compact JSON objects, of form 0 or a later one.

A later form is an array of its number and the object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from ottla.metadata.transaction import MetadataFormatError


def encode(document: Mapping[str, object], form: int = 0) -> bytes:
    return json.dumps([form, document] if form else document, separators=(",", ":")).encode()


def parse_uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise MetadataFormatError(f"{text!r} is no id") from None


def load(value: bytes, newest_form: int = 0) -> tuple[int, dict[str, Any]]:
    """The form of a value, and the JSON object in it."""
    try:
        document = json.loads(value)
    except ValueError:
        raise MetadataFormatError(f"{value!r} is no JSON") from None
    form = 0
    if isinstance(document, list) and document:
        form = document[0]
        if form not in range(1, newest_form + 1) or len(document) != 2:
            raise MetadataFormatError(f"{value!r} is of form {form}, which a newer Ottla has written")
        document = document[1]
    if not isinstance(document, dict):
        raise MetadataFormatError(f"{value!r} is no JSON object")
    return form, document


def decode(
    value: bytes, fields: Mapping[str, type | tuple[type, ...]], newest_form: int = 0, **defaults: object
) -> tuple[Any, ...]:
    """The fields of a JSON object in order: these, of these types, and no others."""
    return fields_of({**defaults, **load(value, newest_form)[1]}, fields)


def fields_of(document: Mapping[str, Any], fields: Mapping[str, type | tuple[type, ...]]) -> tuple[Any, ...]:
    if document.keys() != fields.keys():
        raise MetadataFormatError(f"{document!r} has other fields than {', '.join(fields)}")
    for name, kind in fields.items():
        if not isinstance(document[name], kind) or (kind is int and isinstance(document[name], bool)):
            raise MetadataFormatError(f"{document!r} has a wrong {name}")
    return tuple(document[name] for name in fields)
