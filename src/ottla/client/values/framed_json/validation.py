"""Whether values are what their JSON Schema says. Needs the extra `json-schema`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7

from ottla.client.values.interface import ValuesError
from ottla.client.values.registry import Schema

__all__ = ["validator_of"]

_MAX_REASON: Final = 300


def validator_of(schema: Schema) -> Callable[[bytes], str | None]:
    """Says why a value is not what it has to be, None where it is. ValuesError for no schema.

    A `$ref` leads into the schema and its references, never elsewhere.
    """
    try:
        root = json.loads(schema.text)
        texts = {name: json.loads(text) for name, text in schema.resolved.items()}
        resources = [
            (name, Resource.from_contents(each, default_specification=DRAFT7)) for name, each in texts.items()
        ]
        registry = Registry().with_resources(resources)
        validator = validator_for(root, default=Draft7Validator)(root, registry=registry)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValuesError(f"the JSON Schema is none: {error}") from None

    def validate(value: bytes) -> str | None:
        try:
            found = best_match(validator.iter_errors(json.loads(value)))
        except (ValueError, TypeError, RecursionError, Unresolvable, re.error) as error:
            return f"it cannot be compared with its schema: {error}"[:_MAX_REASON]
        if found is None:
            return None
        where = "" if found.json_path == "$" else f"{found.json_path}: "
        return f"{where}{found.message}"[:_MAX_REASON]

    return validate
