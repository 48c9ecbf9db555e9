"""What the bodies of requests may take, all connections together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ottla.http.app import Application, Receive, Scope, Send
from ottla.http.errors import HttpError

BODIES_MAX_BYTES: Final = 256 * 1024 * 1024


class BoundedBodies:
    """An application whose requests' bodies take at most `most` bytes from when they come in until they are
    answered; what there is no room for is refused with 503. One alone is as large as the application lets it.
    """

    def __init__(self, app: Application, most: int) -> None:
        self._app = app
        self._most = most
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mine = 0

        async def counted() -> Mapping[str, Any]:
            nonlocal mine
            message = await receive()
            size = len(message.get("body", b""))
            if self._taken > mine and self._taken + size > self._most:
                raise HttpError(503, "Too many requests are under way", {"retry-after": "1"})
            mine += size
            self._taken += size
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._taken -= mine
