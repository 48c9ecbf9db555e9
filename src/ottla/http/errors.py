"""What a server refuses. Pure."""

from __future__ import annotations

from collections.abc import Mapping


class HttpError(Exception):
    """An answer that is not the wished one. `code` is a status, or one whose first three digits are the
    status.
    """

    def __init__(self, code: int, message: str | None, headers: Mapping[str, str] = {}) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers

    @property
    def status(self) -> int:
        return self.code if self.code < 1000 else self.code // 100
