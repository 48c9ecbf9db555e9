"""Keywords whose value is a bound: narrower ones are findings."""

from __future__ import annotations

from ottla.schemas.json_schema.drafts import number
from ottla.schemas.json_schema.model import Node
from ottla.schemas.json_text import Json
from ottla.schemas.walk import Finding

__all__ = ["bound", "lower", "upper"]


def upper(old: Node, new: Node, keyword: str, name: str) -> list[Finding]:
    return bound(keyword, name, old.keywords.get(keyword), new.keywords.get(keyword), upper=True)


def lower(old: Node, new: Node, keyword: str, name: str) -> list[Finding]:
    return bound(keyword, name, old.keywords.get(keyword), new.keywords.get(keyword), upper=False)


def bound(keyword: str, name: str, old: Json, new: Json, *, upper: bool) -> list[Finding]:
    """`name` is Confluent's of the keyword. What is no number is as if it were not there."""
    was, is_ = number(old), number(new)
    if is_ is None or was == is_:
        return []
    if was is None:
        return [Finding(f"{name}_ADDED", (keyword,), str(is_))]
    if upper and is_ < was:
        return [Finding(f"{name}_DECREASED", (keyword,), f"{was} to {is_}")]
    if not upper and is_ > was:
        return [Finding(f"{name}_INCREASED", (keyword,), f"{was} to {is_}")]
    return []
