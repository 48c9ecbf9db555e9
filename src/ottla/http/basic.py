"""HTTP's basic authentication: users are lines `NAME:HASH` of a file (`ottla registry password` makes a
hash).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from ottla.client.errors import ConfigurationError

_SCRYPT: Final = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 64 << 20}
_REMEMBERED: Final = 10_000
_MAX_FILE: Final = 16 << 20

InThread = Callable[[Callable[[], bool]], Awaitable[bool]]


def hash_password(password: str, salt: bytes) -> str:
    made = hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)
    return f"scrypt${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


class Users:
    """Those of a file; none without one. ConfigurationError for a file that makes no sense. `in_thread` runs
    what takes long.
    """

    def __init__(self, location: str | None, in_thread: InThread) -> None:
        self._hashes = pairs_of(location, "authentication.users.file", _is_hash)
        self._in_thread = in_thread
        self._known: OrderedDict[bytes, str] = OrderedDict()
        """Who showed these credentials before: a password takes long to check"""

    async def name_of(self, header: str) -> str | None:
        """Whose an `Authorization` of the scheme Basic is; None for nobody's, and another scheme's."""
        scheme, _, credentials = header.partition(" ")
        credentials = credentials.strip()
        if scheme.lower() != "basic":
            return None
        try:
            name, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeError):
            return None
        hashed = self._hashes.get(name)
        if hashed is None or not colon:
            return None
        digest = hashlib.sha256(credentials.encode()).digest()
        if self._known.get(digest) == name:
            return name
        if not await self._in_thread(lambda: _is_password(password, hashed)):
            return None
        self._known[digest] = name
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return name


def lines_of(location: str, setting: str) -> list[str]:
    """Without comments and empty ones. ConfigurationError."""
    try:
        data = Path(location).read_bytes()[:_MAX_FILE].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{setting}={location}: {error}") from None
    lines = (line.strip() for line in data.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pairs_of(location: str | None, setting: str, is_value: Callable[[str], bool]) -> dict[str, str]:
    """Lines `NAME:VALUE`. ConfigurationError."""
    made: dict[str, str] = {}
    for line in [] if location is None else lines_of(location, setting):
        name, _, value = line.partition(":")
        if not name or not is_value(value):
            raise ConfigurationError(f"{setting}={location}: the line of {name!r} is not NAME:HASH")
        made[name] = value
    return made


def _is_password(password: str, hashed: str) -> bool:
    salt = base64.b64decode(hashed.split("$")[1])
    return hmac.compare_digest(hash_password(password, salt), hashed)


def _is_hash(value: str) -> bool:
    try:
        kind, salt, hashed = value.split("$")
        base64.b64decode(salt, validate=True)
        base64.b64decode(hashed, validate=True)
    except (ValueError, binascii.Error):
        return False
    return kind == "scrypt"
