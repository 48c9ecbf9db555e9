"""What came of a call about several things: each has a value or an error of its own."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

from ottla.client.errors import ClientError

__all__ = ["Results"]

K = TypeVar("K", bound=Hashable)
V_co = TypeVar("V_co", covariant=True)


class Results(Mapping[K, V_co]):
    """Values by key, in the order in which was asked; a key whose call failed raises its `ClientError`.

    `results["orders"]` is its value or raises, `errors` says what failed, `values()` and `check()` raise the
    first error there is.
    """

    __slots__ = ("_outcomes",)

    def __init__(self, outcomes: Mapping[K, V_co | ClientError]) -> None:
        self._outcomes = outcomes

    @property
    def succeeded(self) -> dict[K, V_co]:
        """What was done."""
        return {key: each for key, each in self._outcomes.items() if not isinstance(each, ClientError)}

    @property
    def errors(self) -> dict[K, ClientError]:
        """What was not, and why."""
        return {key: each for key, each in self._outcomes.items() if isinstance(each, ClientError)}

    def check(self) -> None:
        """Raise the first error, if there is one."""
        for error in self.errors.values():
            raise error

    def replaced(self, others: Results[K, V_co]) -> Results[K, V_co]:
        """These with what `others` say of the same keys."""
        return Results({key: others._outcomes.get(key, each) for key, each in self._outcomes.items()})

    def __getitem__(self, key: K) -> V_co:
        outcome = self._outcomes[key]
        if isinstance(outcome, ClientError):
            raise outcome
        return outcome

    def __iter__(self) -> Iterator[K]:
        return iter(self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)

    def __contains__(self, key: object) -> bool:
        return key in self._outcomes

    def __repr__(self) -> str:
        return f"Results({self._outcomes!r})"
