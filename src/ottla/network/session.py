"""Who is at the other end of a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ottla.security.principal import Principal

if TYPE_CHECKING:
    from ottla.security.access import Access


def _no_connection(_wait_ms: int) -> None:
    """Where a request came on none."""


class Session:
    """What holds for all requests of one connection."""

    __slots__ = (
        "access",
        "groups",
        "is_known",
        "is_token_owner",
        "listener",
        "mute",
        "peer_host",
        "peer_port",
        "principal",
        "software",
    )

    def __init__(self, principal: Principal, listener: str, peer_host: str) -> None:
        """`listener` is the name of the listener that accepted it, `peer_host` the client's address."""
        self.principal = principal
        self.groups: tuple[str, ...] = ()
        """That its principal is in"""
        self.is_token_owner = False
        """It came with a delegation token"""
        self.listener = listener
        self.peer_host = peer_host
        self.peer_port = 0
        self.software = ("", "")
        """Name and version of what the client is made with, as it says itself (KIP-511)"""
        self.mute: Callable[[int], None] = _no_connection
        """Has nothing read from the connection for so many milliseconds"""
        self.is_known = True
        """False while its client has to say who it is: what is answered meanwhile is nobody's to pay for"""
        self.access: Access | None = None
        """What it may do, from the first request on that asks for a right; None where all may do all"""
