"""allOf, anyOf and oneOf: which part of the new one stands for which of the old one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence

from ottla.schemas.json_schema.model import Kind, Node
from ottla.schemas.limits import Budget
from ottla.schemas.walk import Finding, Findings, Found, Step

__all__ = ["compare_combined", "fits_in_part"]


def fits_in_part(old: Node, new: Node) -> Generator[tuple[Node, Node], Findings, bool]:
    """Whether, of two schemas, that which is no combination fits a part of the other that says enough."""
    combined = new if new.kind is Kind.COMBINED else old
    parts = combined.parts()
    if len(parts) > 1 and (combined.criterion == "allOf") == (combined is new):
        return False  # all of the new ones would have to fit, or the new one would have to fit all of them
    for part in parts:
        pair = (old, part) if combined is new else (part, new)
        if not (yield pair):
            return True
    return False


def compare_combined(old: Node, new: Node, budget: Budget) -> Step[Node]:
    if not _criteria_fit(old, new):
        return [Finding("COMBINED_TYPE_CHANGED", (), f"{old.criterion} became {new.criterion}")]
    found: list[Found] = []
    olds, news = _distinct(old.parts()), _distinct(new.parts())
    if len(olds) < len(news) and new.criterion == "allOf":
        found.append(Finding("PRODUCT_TYPE_EXTENDED"))
    elif len(olds) > len(news) and old.criterion != "allOf":
        found.append(Finding("SUM_TYPE_NARROWED"))
    matched = yield from _matched(olds, news, budget)
    if matched < min(len(olds), len(news)):
        found.append(Finding("COMBINED_TYPE_SUBSCHEMAS_CHANGED"))
    return found


def _criteria_fit(old: Node, new: Node) -> bool:
    if old.criterion == new.criterion or new.criterion == "anyOf":
        return True
    one_before, one_now = len(old.schemas) == 1, len(new.schemas) == 1
    return (one_before and (one_now or new.criterion == "oneOf")) or (one_now and old.criterion == "allOf")


def _distinct(parts: Sequence[Node]) -> list[Node]:
    return list({part.key(): part for part in parts}.values())


def _matched(
    olds: Sequence[Node], news: Sequence[Node], budget: Budget
) -> Generator[tuple[Node, Node], Findings, int]:
    """How many pairs can be made at most of parts that fit, none used twice (by augmenting paths)."""
    equal = {part.key(): j for j, part in enumerate(news)}
    owner: dict[int, int] = {}  # of a new part, the old one that it stands for
    part_of: dict[int, int] = {}
    for start, part in enumerate(olds):
        likely = equal.get(part.key())
        order = [*range(len(news))] if likely is None else [likely, *range(len(news))]
        came: dict[int, int] = {}
        ahead = deque([start])
        end: int | None = None
        while ahead and end is None:
            i = ahead.popleft()
            for j in order:
                budget.spend()
                if j in came or (yield olds[i], news[j]):
                    continue
                came[j] = i
                if j not in owner:
                    end = j
                    break
                ahead.append(owner[j])
        while end is not None:
            i = came[end]
            owner[end], part_of[i], end = i, end, part_of.get(i)
    return len(owner)
