"""A heap that gives what is equal in the order that `java.util.PriorityQueue` gives it.

That order decides which of two partitions is read first whose next records have the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Heap"]

T = TypeVar("T")


class Heap(Generic[T]):
    """Elements, the one with the smallest rank on top. A rank may change only while its element is out."""

    def __init__(self, rank: Callable[[T], int]) -> None:
        self._rank = rank
        self._elements: list[T] = []

    def __len__(self) -> int:
        return len(self._elements)

    def peek(self) -> T:
        return self._elements[0]

    def push(self, element: T) -> None:
        elements, rank = self._elements, self._rank
        at = len(elements)
        elements.append(element)
        while at > 0:
            parent = (at - 1) >> 1
            if rank(element) >= rank(elements[parent]):
                break
            elements[at] = elements[parent]
            at = parent
        elements[at] = element

    def pop(self) -> T:
        elements, rank = self._elements, self._rank
        top = elements[0]
        last = elements.pop()
        count = len(elements)
        if count:
            at = 0
            while at < count >> 1:
                child = 2 * at + 1
                if child + 1 < count and rank(elements[child]) > rank(elements[child + 1]):
                    child += 1
                if rank(last) <= rank(elements[child]):
                    break
                elements[at] = elements[child]
                at = child
            elements[at] = last
        return top

    def rotate(self, smallest: T, times: int) -> None:
        """Put an element in and take it out so often, as the smallest, for what that does to the others."""
        elements = self._elements
        if len(elements) < 2:
            return
        for _ in range(times):
            at = len(elements)
            elements.append(smallest)
            while at > 0:
                parent = (at - 1) >> 1
                elements[at] = elements[parent]
                at = parent
            elements[0] = smallest
            self.pop()

    def clear(self) -> None:
        self._elements.clear()
