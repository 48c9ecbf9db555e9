"""What is made of schemas, remembered for the last few of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

__all__ = ["Remembered"]

Given = TypeVar("Given", bound=Hashable)
Made = TypeVar("Made")


class Remembered(Generic[Given, Made]):
    """`remembered[given]` is what `make` makes of it, once as long as it is among the last `most`."""

    def __init__(self, make: Callable[[Given], Made], most: int = 16) -> None:
        self._make: Final = make
        self._most: Final = most
        self._made: Final[dict[Given, Made]] = {}

    def __getitem__(self, given: Given) -> Made:
        made = self._made.get(given)
        if made is None:
            made = self._made[given] = self._make(given)
            while len(self._made) > self._most:
                del self._made[next(iter(self._made))]
        return made

    def __len__(self) -> int:
        return len(self._made)

    def forget(self, given: Given) -> None:
        """It is made anew the next time."""
        self._made.pop(given, None)
