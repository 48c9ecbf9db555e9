"""The page over HTTP: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever restarts and routes.

It has threads of its own, which ask the broker's event loop: when that hangs, `/livez` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from typing import Any, Final, TypeAlias, TypeVar, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.metrics_core import Metric as Exposed
from prometheus_client.registry import Collector, CollectorRegistry

from ottla.broker.monitoring.monitor import Monitor
from ottla.metrics.families import Distribution, Kind, Metric

log = logging.getLogger(__name__)

_CONNECTIONS_MAX: Final = 16
"""Each with a thread of its own while it is open; more are turned away"""
_REQUEST_S: Final = 3.0
"""For a request to come, and for its answer to be taken"""
_ANSWER_S: Final = 5.0
"""The event loop counts as hung when it has not answered by then"""
_POLL_S: Final = 0.1
"""How soon the page has seen that it is to stop"""
_COLLECT_S: Final = 30.0

T = TypeVar("T")
_Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_INDEX: Final = "/metrics for Prometheus, /livez whether the broker lives, /readyz whether it serves\n"


class Page:
    """Answers until `stop`. To be made in the event loop of the broker that `monitor` is of."""

    def __init__(self, monitor: Monitor, host: str, port: int) -> None:
        """Port 0 is a free one. Raises OSError for an address that cannot be listened on."""
        self._monitor = monitor
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(1 + _CONNECTIONS_MAX, "ottla-page")
        self._asked: dict[Future[Any], None] = {}
        self._is_stopped = False
        self._collects = threading.Lock()
        registry = CollectorRegistry(auto_describe=False)
        for own in (ProcessCollector, PlatformCollector, GCCollector):
            own(registry=registry)
        registry.register(_DiskCollector())
        registry.register(_BrokerCollector(lambda: self._ask(monitor.collect(), _COLLECT_S)))
        self._metrics = cast("_Application", make_wsgi_app(registry))
        try:
            self._server = _Server(host, port, self._answer, self._threads)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"cannot show metrics on {host}:{port}: {reason}") from error
        self._threads.submit(self._server.serve_forever, _POLL_S)

    @property
    def address(self) -> tuple[str, int]:
        """Where it is."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def stop(self) -> None:
        """Accept no more, and answer nobody; blocks until the threads have seen it, a tenth of a second."""
        self._is_stopped = True
        self._server.shutdown()
        self._server.server_close()
        for asked in list(self._asked):
            asked.cancel()
        self._threads.shutdown(wait=False)
        self._monitor.close()

    def _ask(self, question: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """From a thread of the page. Raises TimeoutError where the event loop hangs, or the page stops."""
        asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        self._asked[asked] = None
        try:
            return asked.result(0 if self._is_stopped else timeout_s)
        except CancelledError as error:
            raise TimeoutError from error
        finally:
            del self._asked[asked]
            asked.cancel()

    def _answer(self, request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        if request["REQUEST_METHOD"] != "GET":
            return _text(begin, "405 Method Not Allowed", "only GET is\n")
        path = request["PATH_INFO"]
        try:
            if path == "/metrics":
                return self._show_metrics(request, begin)
            if path == "/livez":
                self._ask(asyncio.sleep(0), _ANSWER_S)
                return _text(begin, "200 OK", "lives\n")
            if path == "/readyz":
                reason = self._ask(self._monitor.why_not_ready(), _ANSWER_S)
                if reason is not None:
                    return _text(begin, "503 Service Unavailable", f"{reason}\n")
                return _text(begin, "200 OK", "serves\n")
        except TimeoutError:
            return _text(begin, "503 Service Unavailable", "the broker's event loop does not answer\n")
        if path == "/":
            return _text(begin, "200 OK", _INDEX)
        return _text(begin, "404 Not Found", _INDEX)

    def _show_metrics(self, request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        if not self._collects.acquire(timeout=_ANSWER_S):
            return _text(begin, "503 Service Unavailable", "another request for metrics is under way\n")
        try:
            return list(self._metrics(request, begin))
        finally:
            self._collects.release()


def _text(begin: Callable[..., Any], status: str, text: str) -> list[bytes]:
    body = text.encode()
    begin(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class _DiskCollector(Collector):
    """What this process has read from disks and written to them, as Linux counts it."""

    def collect(self) -> Iterator[Exposed]:
        try:
            with open("/proc/self/io") as file:
                counts = dict(line.split(": ", 1) for line in file)
        except OSError:
            return
        for way in ("read", "write"):
            name = f"kafka_server_kafkaserver_linux_disk_{way}_bytes"
            shown = Exposed(name, f"Bytes that the process had disks {way}.", "gauge")
            shown.add_sample(name, {}, float(counts[f"{way}_bytes"]))
            yield shown


class _BrokerCollector(Collector):
    def __init__(self, collect: Callable[[], list[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Exposed]:
        return map(exposed, self._collect())


def exposed(metric: Metric) -> Exposed:
    """In prometheus_client's form."""
    name, kind, text, labels = metric.family
    shown = Exposed(name, text, kind.value)
    for values, value in metric.samples:
        named = dict(zip(labels, values, strict=True))
        if isinstance(value, Distribution):
            for quantile, at in value.quantiles.items():
                shown.add_sample(name, {**named, "quantile": f"{quantile:g}"}, at)
            shown.add_sample(f"{name}_count", named, value.times)
            shown.add_sample(f"{name}_sum", named, value.total)
        else:
            shown.add_sample(f"{name}_total" if kind is Kind.COUNTER else name, named, value)
    return shown


class _Server(WSGIServer):
    """Answers each connection in a thread of its own; there are but so many."""

    allow_reuse_address = True

    def __init__(self, host: str, port: int, application: _Application, threads: Executor) -> None:
        self._threads = threads
        self._open: dict[socket.socket, float] = {}  # until when its request has to have come
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Request)
        self.set_app(application)

    def server_bind(self) -> None:
        # Not HTTPServer's, which may wait for a name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._open) >= _CONNECTIONS_MAX:
            self.shutdown_request(request)
        else:
            self._open[request] = time.monotonic() + _REQUEST_S
            self._threads.submit(self._handle, request, client_address)

    def has_come(self, connection: socket.socket) -> None:
        """Its request is there."""
        self._open[connection] = math.inf

    def service_actions(self) -> None:
        now = time.monotonic()
        for connection, deadline in list(self._open.items()):
            if deadline <= now:
                _cut(connection)

    def server_close(self) -> None:
        """Whoever reads or writes sees an end at once."""
        super().server_close()
        for connection in list(self._open):
            _cut(connection)

    def _handle(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError as error:
            log.debug("%s: %s", client_address[0], error)
        except Exception:  # one request failed; the others go on
            log.exception("a request of %s failed", client_address[0])
        finally:
            del self._open[request]
            self.shutdown_request(request)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has gone by itself
        connection.shutdown(socket.SHUT_RDWR)


class _Request(WSGIRequestHandler):
    timeout = _REQUEST_S  # for each piece of the request; for all of an answer
    server: _Server

    def parse_request(self) -> bool:
        is_whole = super().parse_request()
        self.server.has_come(self.connection)
        return is_whole

    def log_message(self, _format: str, *arguments: Any) -> None:
        log.debug(_format, *arguments)
