"""HTTP over ASGI: requests read within bounds, routes, answers in JSON.

Paths are cut before they are decoded, as a name in them may hold a slash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote

from ottla.http.errors import HttpError
from ottla.http.fields import FieldError, dump, load

Scope = Mapping[str, Any]  # ASGI's own types
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_MAX_PATH: Final = 16 * 1024
_MAX_PARAMETERS: Final = 100
_BODY_S: Final = 30

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    method: str
    path: tuple[str, ...]
    """Decoded segments"""
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    target: str
    """Path and query as they came"""
    receive: Receive
    """ASGI's, behind the body"""
    principal: str = ""
    certificate: Mapping[str, Any] | None = None
    """What `SSLSocket.getpeercert` says of the client, where that showed one"""

    def json(self) -> object:
        """The body. HttpError where it is none."""
        if not self.body.strip():
            raise HttpError(422, "The request body must not be empty")
        try:
            return load(self.body)
        except FieldError as error:
            raise HttpError(400, str(error)) from None

    async def until_gone(self) -> None:
        """Until the client waits for no answer any more."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def text(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[-1]

    def flag(self, name: str) -> bool:
        return self.text(name).lower() == "true"

    def number(self, name: str, default: int) -> int:
        text = self.text(name)
        if not text:
            return default
        try:
            return int(text) if len(text) < 12 else default
        except ValueError:
            raise HttpError(404, "HTTP 404 Not Found") from None


@dataclass(slots=True)
class Response:
    value: object = None
    """As JSON; bytes as they are; None for none"""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    type: str | None = None
    """The media type; None: the one that the client likes best"""


Handler = Callable[..., Awaitable[Response]]
"""Takes the request, and the names in its path"""


@dataclass(frozen=True, slots=True)
class Route:
    """`path` has None where a name is."""

    method: str
    path: tuple[str | None, ...]
    handler: Handler

    def matches(self, path: Sequence[str]) -> bool:
        return len(path) == len(self.path) and all(
            part is None or part == given for part, given in zip(self.path, path, strict=True)
        )


def route(method: str, path: str, handler: Handler) -> Route:
    """`/subjects/{subject}/versions`"""
    parts = (each for each in path.split("/") if each)
    return Route(method, tuple(None if each.startswith("{") else each for each in parts), handler)


class Dialect(NamedTuple):
    """What differs from API to API: the media types that are answered, preferred ones first, and those that
    are taken, and as whose part one signs in.
    """

    answered: tuple[str, ...] = ("application/json",)
    taken: tuple[str, ...] = ("application/json",)
    realm: str = "ottla"
    refusal: Callable[[Exception], HttpError | None] = lambda _: None
    """What an exception of a handler is answered with; None: with 500"""


class App:
    """ASGI's application. `prepare` is called with each request before it is routed."""

    def __init__(
        self,
        routes: Iterable[Route],
        prepare: Callable[[Request], Awaitable[None]],
        max_body_bytes: int,
        dialect: Dialect,
    ) -> None:
        self._routes = tuple(routes)
        self._prepare = prepare
        self._max_body_bytes = max_body_bytes
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        dialect = self._dialect
        type_ = dialect.answered[0]
        try:
            type_ = _answer_type(headers.get("accept", ""), dialect.answered)
            response = await self._answer(await self._read(scope, headers, receive))
        except HttpError as error:
            response = _refusal(error, dialect.realm)
        except asyncio.CancelledError:  # the request's task is the server's, which stops
            response = _refusal(HttpError(503, "The server stops"), dialect.realm)
        except Exception as error:  # noqa: BLE001 - the connection goes on
            refusal = dialect.refusal(error)
            if refusal is None:
                _log.exception("a request failed: %s %s", scope["method"], scope["path"])
            response = _refusal(refusal or HttpError(500, "Internal Server Error"), dialect.realm)
        await _send(response, response.type or type_, send, with_body=scope["method"] != "HEAD")

    async def _read(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Request:
        raw_path: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        if len(raw_path) + len(query) > _MAX_PATH:
            raise HttpError(414, "URI Too Long")
        try:
            path = tuple(unquote(each, errors="strict") for each in raw_path.decode("ascii").split("/")[1:])
            parameters = parse_qs(
                query.decode("ascii"),
                keep_blank_values=True,
                max_num_fields=_MAX_PARAMETERS,
                errors="strict",
            )
        except ValueError:  # UnicodeError among them
            raise HttpError(400, "HTTP 400 Bad Request") from None
        if path[-1:] == ("",):
            path = path[:-1]
        target = raw_path.decode("ascii") + (f"?{query.decode('ascii')}" if query else "")
        method: str = scope["method"]
        if method in ("POST", "PUT", "PATCH") and (given := headers.get("content-type")):
            if given.partition(";")[0].strip().lower() not in self._dialect.taken:
                raise HttpError(415, "HTTP 415 Unsupported Media Type")
            if headers.get("content-encoding", "identity") != "identity":
                raise HttpError(415, "HTTP 415 Unsupported Media Type")
        try:
            async with asyncio.timeout(_BODY_S):
                body = await self._body(headers, receive)
        except TimeoutError:
            raise HttpError(408, f"The request did not come in within {_BODY_S} s") from None
        certificate = scope.get("extensions", {}).get("ottla.certificate")
        return Request(method, path, parameters, headers, body, target, receive, certificate=certificate)

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._max_body_bytes:
            raise HttpError(413, f"The request body has more than {self._max_body_bytes} bytes")
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise HttpError(400, "The request was not sent to its end")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._max_body_bytes:
                raise HttpError(413, f"The request body has more than {self._max_body_bytes} bytes")
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _answer(self, request: Request) -> Response:
        await self._prepare(request)
        method = "GET" if request.method == "HEAD" else request.method
        others: list[str] = []
        for each in self._routes:
            if each.matches(request.path):
                if each.method == method:
                    names = (name for name, part in zip(request.path, each.path, strict=True) if part is None)
                    return await each.handler(request, *names)
                others.append(each.method)
        if others:
            raise HttpError(405, "HTTP 405 Method Not Allowed", {"allow": ", ".join(others)})
        raise HttpError(404, "HTTP 404 Not Found")


def _answer_type(accept: str, answered: Sequence[str]) -> str:
    """The first of ours that the client takes; HttpError where it takes none."""
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for each in wanted:
        if each in ("", "*/*", "application/*"):
            return answered[0]
        if each in answered:
            return each
    raise HttpError(406, "HTTP 406 Not Acceptable")


def _refusal(error: HttpError, realm: str) -> Response:
    headers = dict(error.headers)
    if error.status == 401:
        headers["www-authenticate"] = f'Basic realm="{realm}"'
    return Response({"error_code": error.code, "message": error.message}, error.status, headers)


async def _send(response: Response, type_: str, send: Send, *, with_body: bool) -> None:
    body = b""
    headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    if response.value is not None:
        value = response.value
        body = value if isinstance(value, bytes) else dump(value)
        headers.append((b"content-type", type_.encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body if with_body else b""})
