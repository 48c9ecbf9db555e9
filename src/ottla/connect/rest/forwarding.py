"""Requests that another worker is to answer, and those that only workers may make (KIP-507)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ssl
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

import h11

from ottla.connect.worker.configs import SessionKey
from ottla.http.app import Request, Response
from ottla.http.client import UnreachableError, ask
from ottla.http.errors import HttpError
from ottla.http.fields import dump

SIGNATURE: Final = "x-connect-authorization"
ALGORITHM: Final = "x-connect-request-signature-algorithm"
_HASHES: Final[Mapping[str, str]] = {
    "HmacSHA256": "sha256",
    "HmacSHA1": "sha1",
    "HmacSHA384": "sha384",
    "HmacSHA512": "sha512",
    "HmacMD5": "md5",
}
_PASSED_ON: Final = ("authorization", "content-type", "accept")
_CONFLICT: Final = 409


def sign(key: SessionKey, algorithm: str, body: bytes) -> dict[str, str]:
    """The headers of a request between workers."""
    mac = hmac.digest(key.key, body, _HASHES[algorithm])
    return {SIGNATURE: base64.b64encode(mac).decode(), ALGORITHM: algorithm}


def is_between_workers(request: Request) -> bool:
    """Whether only workers may make it: such a one is signed instead of signed in."""
    return request.path[0:1] == ("connectors",) and (request.method, request.path[2:]) in (
        ("POST", ("tasks",)),
        ("PUT", ("fence",)),
    )


def is_signed(key: SessionKey, algorithm: str, signature: str, body: bytes) -> bool:
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(key.key, body, _HASHES[algorithm]), given)


class Forwarder:
    def __init__(
        self, timeout_s: Callable[[], float], max_bytes: int, context: ssl.SSLContext | None
    ) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._context = context

    async def forward(self, request: Request, url: str | None) -> Response:
        """What the worker at `url` answers. Two hops are the most: who was asked by a worker that was asked
        by a worker refuses.
        """
        hop = request.text("forward")
        if hop == "false":
            raise HttpError(
                _CONFLICT,
                "Cannot complete request because of a conflicting operation (e.g. worker rebalance)",
            )
        if url is None:
            raise HttpError(
                _CONFLICT,
                "Cannot complete request momentarily due to no known leader URL, likely because a "
                "rebalance was underway.",
            )
        query = [
            (name, value) for name, values in request.query.items() for value in values if name != "forward"
        ]
        query.append(("forward", "true" if hop == "" else "false"))
        target = f"{request.target.partition('?')[0]}?{urlencode(query)}"
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        return await self.send(url, request.method, target, request.body, headers)

    async def send(
        self, url: str, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Response:
        """HttpError where there is no answer."""
        parts = urlsplit(url)
        secure = None
        if parts.scheme == "https":
            secure = self._context or ssl.create_default_context()
        address = (parts.hostname or "", parts.port or (443 if secure else 80))
        given = {"content-type": "application/json", "accept": "application/json", **headers}
        try:
            async with asyncio.timeout(self._timeout_s()):
                answer = await ask(
                    address, secure, method, target, list(given.items()), body, self._max_bytes
                )
        except (UnreachableError, OSError, TimeoutError, ValueError, h11.ProtocolError) as error:
            raise HttpError(
                500, f"IO Error trying to forward REST request: {error or 'no answer in time'}"
            ) from error
        kept = {name: value for name, value in answer.headers.items() if name == "location"}
        return Response(answer.body or None, answer.status, kept)

    async def send_signed(
        self, url: str, method: str, target: str, value: object, key: SessionKey | None, algorithm: str
    ) -> Response:
        """A request that only workers make."""
        body = dump(value)
        headers = {} if key is None else sign(key, algorithm, body)
        return await self.send(url, method, target, body, headers)
