"""Questions over HTTP: the way to another instance, and what listens there."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from ottla.streams.errors import StreamsError
from ottla.streams.queries.errors import QueryError, StoreUnavailableError
from ottla.streams.queries.routes import Host

if TYPE_CHECKING:
    from ottla.http.server import HttpServer

_PATH: Final = "/v1/query"
_TIMEOUT_S: Final = 30
_MAX_QUESTION: Final = 1 << 20
_MAX_ANSWER: Final = 1 << 28
_CONNECTIONS: Final = 200
_THREADS: Final = 8
_STARTED_S: Final = 10.0
_log: Final = logging.getLogger("ottla.streams")

Answer = Callable[[object], object]
"""What is answered to what was posted; QueryError, StoreUnavailableError."""
Views = Mapping[str, Callable[[], object]]
"""By path what can be looked at."""


def ask(host: Host, question: Mapping[str, Any]) -> Any:
    """What another instance answers. QueryError, StoreUnavailableError."""
    shown = f"{host[0]}:{host[1]}"
    connection = http.client.HTTPConnection(*host, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", _PATH, json.dumps(question), {"content-type": "application/json"})
        response = connection.getresponse()
        body = response.read(_MAX_ANSWER + 1)
    except (OSError, http.client.HTTPException) as error:
        raise StoreUnavailableError(f"the instance at {shown} does not answer: {error}") from error
    finally:
        connection.close()
    if len(body) > _MAX_ANSWER:
        raise QueryError(f"the instance at {shown} answers with too much: ask for less at a time")
    try:
        answer = json.loads(body)
        message = "" if response.status == 200 else str(answer["message"])
    except (ValueError, KeyError, TypeError):
        raise StoreUnavailableError(
            f"at {shown} something else answers, with status {response.status}"
        ) from None
    if response.status == 400:
        raise QueryError(message)
    if message:
        raise StoreUnavailableError(f"{shown}: {message}")
    return answer


class Server:
    """Listens from the beginning, so that its port is known; answers from `start` until `close`."""

    def __init__(self, host: str, port: int) -> None:
        """Raises StreamsError where nothing can be listened on there, or what serves HTTP is missing."""
        try:
            from ottla.http.server import listen
        except ImportError as error:
            raise StreamsError(
                f"application.server needs {error.name}: pip install 'ottla[streams-queries]'"
            ) from error
        try:
            self._socket = listen(host, port)
        except OSError as error:
            raise StreamsError(f"application.server={host}:{port} cannot be listened on: {error}") from error
        self.address: Host = (host, self._socket.getsockname()[1])
        self._server: HttpServer | None = None
        self._runner: threading.Thread | None = None

    def start(self, answer: Answer, views: Views) -> None:
        from ottla.http.server import HttpServer, Tls

        executor = ThreadPoolExecutor(_THREADS, "ottla-streams-query")
        app = _App(answer, views, executor)
        server = self._server = HttpServer(app, self._socket, Tls(), _CONNECTIONS)

        def run() -> None:
            with executor:
                asyncio.run(server.serve())

        self._runner = threading.Thread(target=run, name="ottla-streams-queries", daemon=True)
        self._runner.start()

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()
        if self._runner is not None:
            self._runner.join(_STARTED_S)
        self._socket.close()


class _App:
    """ASGI's application: one path takes questions, others show what there is."""

    def __init__(self, answer: Answer, views: Views, executor: ThreadPoolExecutor) -> None:
        self._answer = answer
        self._views = views
        self._executor = executor

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] != "http":
            return
        status, value = await self._respond(scope["method"], scope["path"], receive)
        body = json.dumps(value).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(
        self, method: str, path: str, receive: Callable[[], Awaitable[Any]]
    ) -> tuple[int, object]:
        try:
            call = asyncio.get_running_loop().run_in_executor  # all of them wait for the tasks' own threads
            if (method, path) == ("POST", _PATH):
                posted = json.loads(await _body(receive))
                return 200, await call(self._executor, self._answer, posted)
            if method == "GET" and path in self._views:
                return 200, await call(self._executor, self._views[path])
        except StoreUnavailableError as error:
            return 503, {"message": str(error)}
        except (QueryError, ValueError, RecursionError) as error:
            return 400, {"message": str(error)}
        except Exception:  # noqa: BLE001 # the connection goes on
            _log.exception("a question failed")
            return 500, {"message": "the question failed: see the instance's log"}
        return 404, {"message": f"there is nothing at {path}; there is {', '.join([_PATH, *self._views])}"}


async def _body(receive: Callable[[], Awaitable[Any]]) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MAX_QUESTION:
            raise QueryError(f"a question has at most {_MAX_QUESTION} bytes")
        if not message.get("more_body"):
            return bytes(body)
