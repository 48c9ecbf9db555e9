"""Two schemas walked into each other, pair by pair of types, also where they go in circles."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from ottla.schemas.limits import MAX_INCOMPATIBILITIES, MAX_PAIRS_DEEP, Budget
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Finding", "Findings", "Found", "Look", "Step", "Walk", "under"]

T = TypeVar("T")


class Finding(NamedTuple):
    """Why a pair does not fit, with the path from that pair."""

    type: str
    path: tuple[str, ...] = ()
    info: str = ""


class Inside(NamedTuple):
    """What was found, not nothing, at the end of `path`; the same may be seen from many places."""

    path: tuple[str, ...]
    findings: Findings


Found: TypeAlias = Finding | Inside
Findings: TypeAlias = Sequence[Found]
Look: TypeAlias = Generator[tuple[T, T], Findings, Findings]
"""Looks at one pair: yields the pairs inside it, is sent what was found there, returns what it found."""
Step: TypeAlias = Generator[tuple[T, T], Findings, list[Found]]
"""A part of such a look."""


def under(path: Iterable[str], findings: Findings) -> list[Found]:
    """What was found at the end of `path`, seen from its start."""
    return [Inside(tuple(path), findings)] if findings else []


def _listed(findings: Findings) -> list[Finding]:
    """The first of them, each with its whole path."""
    listed: list[Finding] = []
    ahead: list[tuple[tuple[str, ...], Found]] = [((), each) for each in reversed(findings)]
    while ahead and len(listed) < MAX_INCOMPATIBILITIES:
        prefix, each = ahead.pop()
        path = prefix + each.path
        if isinstance(each, Finding):
            listed.append(each._replace(path=path))
        else:
            ahead.extend((path, inside) for inside in reversed(each.findings[:MAX_INCOMPATIBILITIES]))
    return listed


class Walk(Generic[T]):
    """Compares types with `look`, each pair of them once.

    A pair that leads back to itself fits unless something else speaks against it. Where nothing was found on
    that assumption, it is made no more of pairs that turned out not to fit, until no more of these are found.
    """

    def __init__(self, look: Callable[[T, T], Look[T]], budget: Budget) -> None:
        self._look: Final = look
        self._budget: Final = budget

    def compare(self, first: T, second: T) -> list[Finding]:
        """Raises `InvalidSchemaError` beyond the limits."""
        wrong: dict[tuple[int, int], Findings] = {}
        while True:
            known, assumed = self._pass(first, second, wrong)
            answer = known[id(first), id(second)]
            found = {pair: findings for pair, findings in known.items() if findings}
            if answer or not assumed or found.keys() == wrong.keys():
                return _listed(answer)
            wrong = found

    def _pass(
        self, first: T, second: T, wrong: dict[tuple[int, int], Findings]
    ) -> tuple[dict[tuple[int, int], Findings], bool]:
        known: dict[tuple[int, int], Findings] = {}
        assumed = False
        pair = (id(first), id(second))
        stack = [(pair, self._look(first, second))]
        above = {pair: None}
        answer: Findings | None = None
        while stack:
            pair, look = stack[-1]
            try:
                asked = next(look) if answer is None else look.send(answer)
            except StopIteration as end:
                answer = known[pair] = end.value
                stack.pop()
                del above[pair]
                continue
            pair = (id(asked[0]), id(asked[1]))
            answer = known.get(pair)
            if answer is not None:
                continue
            self._budget.spend()
            if pair in above:
                answer = wrong.get(pair, ())
                assumed = assumed or pair not in wrong
            else:
                if len(stack) == MAX_PAIRS_DEEP:
                    raise InvalidSchemaError(
                        f"The schemas lead more than {MAX_PAIRS_DEEP} types deep into each other"
                    )
                stack.append((pair, self._look(*asked)))
                above[pair] = None
        return known, assumed
