"""The drafts of JSON Schema that are known, and what each keyword must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import IntEnum
from typing import Final, TypeAlias

from ottla.schemas.json_text import Json, JsonObject, is_array, shown
from ottla.schemas.limits import Budget
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["TYPES", "Draft", "check_keywords", "is_metaschema", "number"]


class Draft(IntEnum):
    """By year or number, in their order."""

    DRAFT_4 = 4
    DRAFT_6 = 6
    DRAFT_7 = 7
    DRAFT_2019_09 = 2019
    DRAFT_2020_12 = 2020

    @property
    def id_keyword(self) -> str:
        return "id" if self is Draft.DRAFT_4 else "$id"

    @property
    def modern(self) -> bool:
        """$ref stands beside other keywords, which draft 7 and its elders ignore there."""
        return self >= Draft.DRAFT_2019_09

    @classmethod
    def of(cls, schema: Json, default: Draft) -> Draft:
        """By its `$schema`, if it has one that is known."""
        uri = schema.get("$schema") if isinstance(schema, Mapping) else None
        return _BY_URI.get(_bare(uri), default) if isinstance(uri, str) else default


_BY_URI: Final[Mapping[str, Draft]] = {
    "json-schema.org/draft-04/schema": Draft.DRAFT_4,
    "json-schema.org/draft-06/schema": Draft.DRAFT_6,
    "json-schema.org/draft-07/schema": Draft.DRAFT_7,
    "json-schema.org/draft/2019-09/schema": Draft.DRAFT_2019_09,
    "json-schema.org/draft/2020-12/schema": Draft.DRAFT_2020_12,
}


def _bare(uri: str) -> str:
    return uri.rstrip("#").removeprefix("http://").removeprefix("https://")


def is_metaschema(uri: str) -> bool:
    """Whether it is a draft's own schema, which is known without being referred to."""
    return _bare(uri) in _BY_URI


TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")


def number(value: Json) -> int | Decimal | None:
    """`value` if it is a number."""
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def check_keywords(root: Json, draft: Draft, budget: Budget) -> Sequence[JsonObject]:
    """All schemas in `root`, itself too. Raises `InvalidSchemaError` if a keyword holds what it must not."""
    schemas: list[JsonObject] = []
    ahead: list[tuple[str, Json]] = [("#", root)]
    while ahead:
        path, schema = ahead.pop()
        budget.spend()
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, Mapping):
            raise InvalidSchemaError(f"No schema at {path}: {shown(schema)}")
        schemas.append(schema)
        if "$ref" in schema and not draft.modern:
            _check_text(f"{path}/$ref", schema["$ref"])
            continue
        for keyword, value in schema.items():
            check = _CHECKS.get(keyword)
            if check is not None and (keyword not in _MODERN_ONLY or draft.modern):
                ahead.extend(check(f"{path}/{keyword}", value))
    return schemas


_Inside: TypeAlias = Sequence[tuple[str, Json]]
"""The schemas in a keyword's value, each with its path."""
_Check: TypeAlias = Callable[[str, Json], _Inside]
"""Raises for a value that the keyword must not have."""


def _schema(path: str, value: Json) -> _Inside:
    return [(path, value)]


def _schemas(path: str, value: Json) -> _Inside:
    if not is_array(value) or not value:
        raise InvalidSchemaError(f"No schemas at {path}: {shown(value)}")
    return [(f"{path}/{i}", each) for i, each in enumerate(value)]


def _map_of_schemas(path: str, value: Json) -> _Inside:
    return [(f"{path}/{name}", each) for name, each in _object(path, value).items()]


def _items(path: str, value: Json) -> _Inside:
    if is_array(value):
        return [(f"{path}/{i}", each) for i, each in enumerate(value)]
    return [(path, value)]


def _dependencies(path: str, value: Json) -> _Inside:
    schemas: list[tuple[str, Json]] = []
    for name, each in _object(path, value).items():
        if is_array(each):
            _check_names(f"{path}/{name}", each)
        else:
            schemas.append((f"{path}/{name}", each))
    return schemas


def _check_types(path: str, value: Json) -> _Inside:
    names = value if is_array(value) else [value]
    if not names or any(name not in TYPES for name in names):
        raise InvalidSchemaError(f"No type at {path}: {shown(value)}")
    return ()


def _check_names(path: str, value: Json) -> _Inside:
    if not is_array(value) or not all(isinstance(name, str) for name in value):
        raise InvalidSchemaError(f"No array of names at {path}: {shown(value)}")
    return ()


def _check_map_of_names(path: str, value: Json) -> _Inside:
    for name, each in _object(path, value).items():
        _check_names(f"{path}/{name}", each)
    return ()


def _check_array(path: str, value: Json) -> _Inside:
    if not is_array(value):
        raise InvalidSchemaError(f"No array at {path}: {shown(value)}")
    return ()


def _check_text(path: str, value: Json) -> _Inside:
    if not isinstance(value, str):
        raise InvalidSchemaError(f"No text at {path}: {shown(value)}")
    return ()


def _check_flag(path: str, value: Json) -> _Inside:
    if not isinstance(value, bool):
        raise InvalidSchemaError(f"Neither true nor false at {path}: {shown(value)}")
    return ()


def _check_number(path: str, value: Json) -> _Inside:
    if number(value) is None:
        raise InvalidSchemaError(f"No number at {path}: {shown(value)}")
    return ()


def _check_limit(path: str, value: Json) -> _Inside:
    """A flag in draft 4."""
    return () if isinstance(value, bool) else _check_number(path, value)


def _check_count(path: str, value: Json) -> _Inside:
    count = number(value)
    if count is None or count < 0 or count != Decimal(count).to_integral_value():
        raise InvalidSchemaError(f"No count at {path}: {shown(value)}")
    return ()


def _check_divisor(path: str, value: Json) -> _Inside:
    divisor = number(value)
    if divisor is None or divisor <= 0:
        raise InvalidSchemaError(f"No number above zero at {path}: {shown(value)}")
    return ()


def _object(path: str, value: Json) -> JsonObject:
    if not isinstance(value, Mapping):
        raise InvalidSchemaError(f"No object at {path}: {shown(value)}")
    return value


_CHECKS: Final[Mapping[str, _Check]] = {
    keyword: check
    for check, keywords in (
        (_schema, "additionalProperties additionalItems not contains propertyNames if then else"),
        (_schema, "unevaluatedProperties unevaluatedItems"),
        (_schemas, "allOf anyOf oneOf prefixItems"),
        (_map_of_schemas, "properties patternProperties definitions $defs dependentSchemas"),
        (_items, "items"),
        (_dependencies, "dependencies"),
        (_check_types, "type"),
        (_check_names, "required"),
        (_check_map_of_names, "dependentRequired"),
        (_check_array, "enum"),
        (_check_text, "$ref title description pattern"),
        (_check_flag, "uniqueItems"),
        (_check_number, "maximum minimum"),
        (_check_limit, "exclusiveMaximum exclusiveMinimum"),
        (_check_divisor, "multipleOf"),
        (_check_count, "maxLength minLength maxItems minItems"),
        (_check_count, "maxContains minContains maxProperties minProperties"),
    )
    for keyword in keywords.split()
}
_MODERN_ONLY: Final = frozenset(
    {"prefixItems", "dependentSchemas", "dependentRequired", "maxContains", "minContains"}
    | {"unevaluatedProperties", "unevaluatedItems"}
)
