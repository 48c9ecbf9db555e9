"""The page over HTTP: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever restarts and routes.

It has threads of its own, which ask the broker's event loop: when that hangs, `/livez` says so.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import socketserver
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Final, TypeAlias, TypeVar, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.metrics_core import Metric as Exposed
from prometheus_client.registry import Collector, CollectorRegistry

from ottla.broker.monitoring.monitor import Monitor
from ottla.metrics.families import Distribution, Kind, Metric

log = logging.getLogger(__name__)

_THREADS: Final = 3
"""One that accepts; the others answer"""
_ANSWER_S: Final = 5.0
"""The event loop counts as hung when it has not answered by then"""
_POLL_S: Final = 0.1
"""How soon the page has seen that it is to stop"""
_COLLECT_S: Final = 30.0
_QUEUED_MAX: Final = 16
"""Requests that may wait for a thread; more are turned away"""

T = TypeVar("T")
_Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_INDEX: Final = "/metrics for Prometheus, /livez whether the broker lives, /readyz whether it serves\n"


class Page:
    """Answers until `stop`. To be made in the event loop of the broker that `monitor` is of."""

    def __init__(self, monitor: Monitor, host: str, port: int) -> None:
        """Port 0 is a free one. Raises OSError for an address that cannot be listened on."""
        self._monitor = monitor
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(_THREADS, "ottla-page")
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
        """Accept no more; blocks until the thread has seen it, a tenth of a second."""
        self._server.shutdown()
        self._server.server_close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._monitor.close()

    def _ask(self, question: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """From a thread of the page. Raises TimeoutError where the event loop hangs."""
        asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return asked.result(timeout_s)
        except TimeoutError:
            asked.cancel()
            raise

    def _answer(self, request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        if request["REQUEST_METHOD"] != "GET":
            return _text(begin, "405 Method Not Allowed", "only GET is\n")
        path = request["PATH_INFO"]
        try:
            if path == "/metrics":
                return list(self._metrics(request, begin))
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
    """Answers in a bounded number of threads."""

    allow_reuse_address = True

    def __init__(self, host: str, port: int, application: _Application, threads: Executor) -> None:
        self._threads = threads
        self._under_way: list[Future[None]] = []
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Request)
        self.set_app(application)

    def server_bind(self) -> None:
        # Not HTTPServer's, which may wait for a name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._under_way = [each for each in self._under_way if not each.done()]
        if len(self._under_way) >= _QUEUED_MAX:
            self.shutdown_request(request)
        else:
            self._under_way.append(self._threads.submit(self._handle, request, client_address))

    def _handle(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError as error:
            log.debug("%s: %s", client_address[0], error)
        except Exception:  # one request failed; the others go on
            log.exception("a request of %s failed", client_address[0])
        finally:
            self.shutdown_request(request)


class _Request(WSGIRequestHandler):
    timeout = 10  # seconds until more of a request has come

    def log_message(self, _format: str, *arguments: Any) -> None:
        log.debug(_format, *arguments)
