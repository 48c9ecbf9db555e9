"""The orders that Java's hash sets have, which show in the descriptions of topologies."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["java_hash", "java_hash_order"]


def java_hash(text: str) -> int:
    """`String.hashCode`, as an unsigned number of 32 bits."""
    value = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        value = (value * 31 + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return value


def java_hash_order(texts: Iterable[str], capacity: int = 16) -> list[str]:
    """The texts as a `HashSet` gives them that they were added to in this order, each once."""
    unique = list(dict.fromkeys(texts))
    while len(unique) > capacity * 3 // 4:
        capacity *= 2

    def bucket(text: str) -> int:
        value = java_hash(text)
        return (value ^ value >> 16) & (capacity - 1)

    return sorted(unique, key=bucket)
