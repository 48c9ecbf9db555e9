"""What is said of each kind of change that makes a JSON Schema refuse what it let pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["MESSAGES"]

_ADDED: Final = "A keyword of the {reader} schema, which narrows it, is not in the {writer} one"
_INCREASED: Final = "A lower bound of the {reader} schema is above that of the {writer} one"
_DECREASED: Final = "An upper bound of the {reader} schema is below that of the {writer} one"
_CHANGED: Final = "A keyword of the {reader} schema has another value than in the {writer} one"
_FEWER: Final = "The {reader} schema lets fewer values pass here than the {writer} one"
_MORE: Final = "The {reader} schema asks for more here than the {writer} one"
_TYPE: Final = "A type of the {reader} schema is another than in the {writer} one"
_TO_OPEN: Final = "The {writer} schema let anything pass where the {reader} one now has a schema"
_FROM_CLOSED: Final = "The {reader} schema lets nothing pass where the {writer} one had a schema"
_NOT_COVERED: Final = "What the {reader} or the {writer} schema has instead of a schema does not fit it"

_BOUNDS: Final = ("LENGTH", "PROPERTIES", "ITEMS", "CONTAINS")
_CONTENTS: Final = [
    f"{rest}_{part}" for rest in ("ADDITIONAL", "UNEVALUATED") for part in ("PROPERTIES", "ITEMS")
]
_UPPER: Final = ("MAXIMUM", "EXCLUSIVE_MAXIMUM", *(f"MAX_{bound}" for bound in _BOUNDS))
_LOWER: Final = ("MINIMUM", "EXCLUSIVE_MINIMUM", *(f"MIN_{bound}" for bound in _BOUNDS))

MESSAGES: Final[Mapping[str, str]] = (
    {f"{keyword}_ADDED": _ADDED for keyword in (*_UPPER, *_LOWER, "PATTERN", "MULTIPLE_OF", "UNIQUE_ITEMS")}
    | {f"{keyword}_DECREASED": _DECREASED for keyword in _UPPER}
    | {f"{keyword}_INCREASED": _INCREASED for keyword in _LOWER}
    | dict.fromkeys(("PATTERN_CHANGED", "MULTIPLE_OF_CHANGED", "DEPENDENCY_ARRAY_CHANGED"), _CHANGED)
    | dict.fromkeys(("MULTIPLE_OF_EXPANDED", "DEPENDENCY_ARRAY_EXTENDED", "NOT_TYPE_EXTENDED"), _MORE)
    | dict.fromkeys(("PRODUCT_TYPE_EXTENDED", "REQUIRED_ATTRIBUTE_ADDED"), _MORE)
    | dict.fromkeys(("DEPENDENCY_ARRAY_ADDED", "DEPENDENCY_SCHEMA_ADDED", "SCHEMA_ADDED"), _ADDED)
    | {f"{content}_{change}": _FEWER for content in _CONTENTS for change in ("REMOVED", "NARROWED")}
    | dict.fromkeys(("SUM_TYPE_NARROWED", "ENUM_ARRAY_NARROWED", "TYPE_NARROWED"), _FEWER)
    | dict.fromkeys(("TYPE_CHANGED", "ENUM_ARRAY_CHANGED"), _TYPE)
    | dict.fromkeys(("COMBINED_TYPE_CHANGED", "COMBINED_TYPE_SUBSCHEMAS_CHANGED"), _TYPE)
    | dict.fromkeys(
        (
            "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
            "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL",
            "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
            "ITEM_ADDED_TO_OPEN_CONTENT_MODEL",
        ),
        _TO_OPEN,
    )
    | {"REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL": _MORE}
    | {f"{part}_REMOVED_FROM_CLOSED_CONTENT_MODEL": _FROM_CLOSED for part in ("PROPERTY", "ITEM")}
    | {
        f"{part}_{change}_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _NOT_COVERED
        for part in ("PROPERTY", "ITEM")
        for change in ("ADDED", "REMOVED")
    }
)
"""By Confluent's name of the change; what is not here is a change that nothing is lost by."""
