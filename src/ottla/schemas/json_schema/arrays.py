"""Arrays: the items that have a place of their own, and all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ottla.schemas.json_schema.bounds import bound, lower, upper
from ottla.schemas.json_schema.model import Kind, Node
from ottla.schemas.json_schema.objects import (
    compare_additional,
    compare_unevaluated,
    rest,
    unevaluated,
)
from ottla.schemas.json_text import Json, is_array
from ottla.schemas.walk import Finding, Findings, Found, Step, under

__all__ = ["compare_arrays"]


class _Items(NamedTuple):
    """What a draft's keywords say of items; None where they say nothing."""

    places: Sequence[Json]
    each: Json
    """The schema of all items, where none has a place."""
    others: Json
    """The schema of those without a place; False if there may be none, True if they may be anything."""


def compare_arrays(old: Node, new: Node) -> Step[Node]:
    was, are = _items(old), _items(new)
    found: list[Found] = []
    if are.each is not None:
        if was.each is None:
            found.append(Finding("SCHEMA_ADDED", ("items",)))
        else:
            found += under(["items"], (yield old.of(was.each), new.of(are.each)))
    found += yield from _places(old, was, new, are)
    others = yield from compare_additional(old, was.others, new, are.others, "ADDITIONAL_ITEMS")
    found += under(["additionalItems"], others)
    found += yield from compare_unevaluated(old, new, "unevaluatedItems")
    found += upper(old, new, "maxItems", "MAX_ITEMS")
    found += lower(old, new, "minItems", "MIN_ITEMS")
    if new.keywords.get("uniqueItems") is True and old.keywords.get("uniqueItems") is not True:
        found.append(Finding("UNIQUE_ITEMS_ADDED", ("uniqueItems",)))
    found += bound(
        "maxContains", "MAX_CONTAINS", *(_contains(node, "maxContains") for node in (old, new)), upper=True
    )
    found += bound(
        "minContains", "MIN_CONTAINS", *(_contains(node, "minContains") for node in (old, new)), upper=False
    )
    return found


def _items(node: Node) -> _Items:
    items, others = node.keywords.get("items"), node.keywords.get("additionalItems", True)
    if is_array(items):
        return _Items(items, None, others)
    if not node.modern:
        return _Items((), items, others)
    places = node.keywords.get("prefixItems")
    if is_array(places):
        return _Items(places, None, True if items is None else items)
    return _Items((), items if isinstance(items, Mapping) else None, items is not False)


def _places(old: Node, was: _Items, new: Node, are: _Items) -> Step[Node]:
    found: list[Found] = []
    for i in range(max(len(was.places), len(are.places))):
        there: Findings
        if i >= len(are.places):
            there = yield from _removed(old.of(was.places[i]), new, are)
        elif i >= len(was.places):
            there = yield from _added(old, was, new.of(are.places[i]))
        else:
            there = yield old.of(was.places[i]), new.of(are.places[i])
        found += under([f"items/{i}"], there)
    return found


def _removed(old: Node, new: Node, are: _Items) -> Step[Node]:
    if _is_open(new, are):
        return []
    stands_for_it = _covering(new, are)
    if stands_for_it is not None:
        there = yield old, stands_for_it
        if not there:
            return []
        return [*there, Finding("ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL")]
    return [] if old.kind is Kind.NONE else [Finding("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL")]


def _added(old: Node, was: _Items, new: Node) -> Step[Node]:
    if _is_open(old, was):
        return [] if new.kind is Kind.ANY else [Finding("ITEM_ADDED_TO_OPEN_CONTENT_MODEL")]
    stood_for_it = _covering(old, was)
    if stood_for_it is None:
        return []
    there = yield stood_for_it, new
    return [*there, Finding("ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL")] if there else []


def _is_open(node: Node, items: _Items) -> bool:
    given = unevaluated(node, "unevaluatedItems")
    return items.others is True and (given is None or given.kind is Kind.ANY)


def _covering(node: Node, items: _Items) -> Node | None:
    if isinstance(items.others, Mapping):
        return node.of(items.others)
    return rest(node, "unevaluatedItems") if items.others is True else None


def _contains(node: Node, keyword: str) -> Json:
    """Since 2019-09 one item at least must match `contains`."""
    if node.modern and "contains" not in node.keywords:
        return None
    return node.keywords.get(keyword, 1 if node.modern and keyword == "minContains" else None)
