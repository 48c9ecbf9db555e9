"""Who a request comes from (KafkaPrincipal)."""

from __future__ import annotations

from typing import NamedTuple


class Principal(NamedTuple):
    """An authenticated identity, written `User:alice`."""

    type: str
    name: str

    def __str__(self) -> str:
        return f"{self.type}:{self.name}"


ANONYMOUS = Principal("User", "ANONYMOUS")
