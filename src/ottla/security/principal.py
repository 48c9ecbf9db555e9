"""Who a request comes from (KafkaPrincipal)."""

from __future__ import annotations

from typing import NamedTuple


class Principal(NamedTuple):
    """An authenticated identity, written `User:alice`."""

    type: str
    name: str

    def __str__(self) -> str:
        return f"{self.type}:{self.name}"


GROUP = "Group:"
"""What the principals of groups begin with: those that a token says its principal is in"""
ANONYMOUS = Principal("User", "ANONYMOUS")


def in_one_line(text: str) -> str:
    """What others named, for a log: no line of their own making comes of it."""
    return text if text.isprintable() else repr(text)[1:-1]
