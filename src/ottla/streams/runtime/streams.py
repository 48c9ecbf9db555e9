"""`Streams`: a topology at work in this process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import Enum
from types import TracebackType
from typing import Any, Final, Literal, Self

from ottla.streams.errors import StreamsError
from ottla.streams.queries.questions import Keyed, key_bytes
from ottla.streams.queries.routed import RoutedStore, answered
from ottla.streams.queries.routes import Place
from ottla.streams.queries.transport import Server
from ottla.streams.runtime.application import Application
from ottla.streams.runtime.global_thread import GlobalThread
from ottla.streams.runtime.queryable import QueryableStore, answers_here, lags_here
from ottla.streams.runtime.settings import read_config
from ottla.streams.runtime.thread import ShutdownRequestedError, StreamThread
from ottla.streams.topology.topology import Topology

_log: Final = logging.getLogger("ottla.streams")
_CLOSE_TIMEOUT_S: Final = 30.0

Response = Literal["replace_thread", "shutdown_client", "shutdown_application"]


class State(Enum):
    """As KafkaStreams.State."""

    CREATED = "CREATED"
    REBALANCING = "REBALANCING"
    RUNNING = "RUNNING"
    PENDING_SHUTDOWN = "PENDING_SHUTDOWN"
    NOT_RUNNING = "NOT_RUNNING"
    ERROR = "ERROR"


class Streams:
    """One instance of an application. Others with the same `application_id` share its work.

        with Streams(topology, application_id="payments", bootstrap_servers="127.0.0.1:9092") as app:
            app.wait()

    Settings are Kafka Streams', with `_` for `.` as keywords; those of consumers and producers may have their
    prefix. `on_error` is asked what to do when a thread fails: "replace_thread", "shutdown_client" (the
    default), or "shutdown_application", which has all instances end (KIP-671). Raises ConfigurationError,
    TopologyError, StateStoreError.
    """

    def __init__(
        self,
        topology: Topology,
        settings: Mapping[str, object] = {},
        *,
        on_error: Callable[[Exception], Response] | None = None,
        **more: object,
    ) -> None:
        repeated = {name.replace(".", "_") for name in settings} & more.keys()
        if repeated:
            raise StreamsError(f"given twice: {', '.join(sorted(repeated))}")
        self._application = Application(topology, read_config({**settings, **more}))
        self._tell_changes()
        self._topology = topology
        try:
            self._server = self._listening()
        except BaseException:
            self._application.close()
            raise
        self._on_error = on_error or (lambda _: "shutdown_client")
        self._threads: list[StreamThread] = []
        self._runners: list[threading.Thread] = []
        self._global: GlobalThread | None = None
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._state = State.CREATED
        self._first_failure: Exception | None = None
        """Why the whole application is to end."""
        self._telling: set[int] = set()
        """Threads that began anew to say so."""
        self.error: Exception | None = None
        """What ended it."""

    def _tell_changes(self) -> None:
        gone, laid_out_anew = self._application.changes
        if gone:
            _log.warning(
                "the topology has changed: the stores %s are gone; their changelog topics and what is on disk"
                " of them are left",
                ", ".join(gone),
            )
        if laid_out_anew:
            _log.warning(
                "the topology has changed: the stores %s have another retention; what was on disk of them lay"
                " otherwise, and is read back from their changelogs",
                ", ".join(laid_out_anew),
            )

    def start(self) -> Self:
        """Begin. Tables that every instance has in whole are read first."""
        if self._state is not State.CREATED:
            raise StreamsError("an application is started once")
        self._state = State.REBALANCING
        try:
            self._start()
        except BaseException:
            self._state = State.ERROR
            self.close()
            raise
        return self

    def _start(self) -> None:
        if self._topology.global_stores:
            self._global = GlobalThread(self._application, self._global_failed)
            self._global.start()
        for number in range(1, self._application.config.streams.num_stream_threads + 1):
            self._start_thread(number)
        if self._server is not None:
            views = {"/v1/instances": self._instances, "/v1/lags": self.lags}
            self._server.start(self._answered, views)

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> bool:
        """Commit, leave the group, end. Whether all threads ended in time."""
        if self._state is State.CREATED:
            self._state = State.NOT_RUNNING
            if self._server is not None:
                self._server.close()
            self._application.close()
            return True
        if self._state not in (State.ERROR, State.NOT_RUNNING):
            self._state = State.PENDING_SHUTDOWN
        for thread in self._threads:
            thread.stop()
        until = time.monotonic() + timeout_s
        for runner in self._runners:
            if runner is not threading.current_thread():
                runner.join(max(0.0, until - time.monotonic()))
        ended = not any(runner.is_alive() for runner in self._runners)
        if self._server is not None:
            self._server.close()
        if self._global is not None:
            self._global.close()
        if ended:
            self._application.close()
            is_well = self.error is None and self._state is not State.ERROR
            self._state = State.NOT_RUNNING if is_well else State.ERROR
        self._ended.set()
        return ended

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def state(self) -> State:
        if (
            self._state is State.REBALANCING
            and self._threads
            and all(each.is_running for each in self._threads)
        ):
            return State.RUNNING
        return self._state

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until it has ended (whether it has): raises what ended it."""
        ended = self._ended.wait(timeout_s)
        if self.error is not None:
            raise self.error
        return ended

    def wait_until_running(self, timeout_s: float = 60.0) -> None:
        """Until all that was assigned to this instance runs. Raises what ended it, TimeoutError."""
        until = time.monotonic() + timeout_s
        while self.state is not State.RUNNING:
            if self.error is not None:
                raise self.error
            if time.monotonic() > until:
                raise TimeoutError(f"the application is {self.state.value} after {timeout_s} s")
            time.sleep(0.02)

    def pause(self) -> None:
        """Process nothing until `resume`; the instance stays in the group."""
        self._application.is_paused = True

    def resume(self) -> None:
        self._application.is_paused = False
        for thread in self._threads:
            thread.wake()

    @property
    def is_paused(self) -> bool:
        return self._application.is_paused

    def store(self, name: str) -> QueryableStore:
        """What this instance has of a store, to be read. StreamsError where the topology has none such."""
        if name not in self._topology.stores and name not in self._topology.global_stores:
            raise StreamsError(f"the topology has no store {name}")
        return QueryableStore(name, lambda: tuple(self._threads), self._application.global_stores)

    def query(self, name: str, *, max_lag: int | None = None) -> RoutedStore:
        """What all instances have of a store: `application.server` has to be set. See RoutedStore."""
        store = self._keyed(name)
        if self._server is None:
            raise StreamsError("other instances can be asked only where all have an application.server")
        return RoutedStore(
            store,
            lambda: self._application.routes,
            self._server.address,
            lambda asked: answers_here(tuple(self._threads), asked),
            max_lag,
        )

    def metadata_for_key(self, name: str, key: Any) -> Place:
        """Who has the key, who follows it, and its partition (Java: queryMetadataForKey). QueryError."""
        return self._application.routes.place_of_key(name, key_bytes(self._keyed(name), key) or b"")

    def lags(self) -> dict[str, dict[int, int]]:
        """By store and partition how many records of its changelog this instance lacks (KIP-535)."""
        return lags_here(tuple(self._threads))

    def _keyed(self, name: str) -> Keyed:
        if name in self._topology.global_stores:
            raise StreamsError(f"every instance has all of the store {name}: ask it with store()")
        store = self._store_of(name)
        if store is None:
            raise StreamsError(f"the topology has no store {name}")
        return store

    def _store_of(self, name: str) -> Keyed | None:
        store = self._topology.stores.get(name)
        return store if isinstance(store, Keyed) else None

    def _listening(self) -> Server | None:
        address = self._application.endpoint
        host, _, port = address.rpartition(":")
        if not address or not self._application.config.streams.ottla_streams_queries:
            return None
        server = Server(host.strip("[]"), int(port))
        self._application.endpoint = f"{host}:{server.address[1]}"
        return server

    def _answered(self, posted: object) -> object:
        return answered(posted, self._store_of, lambda asked: answers_here(tuple(self._threads), asked))

    def _instances(self) -> object:
        routes = self._application.routes
        return [
            {
                "application.server": f"{host[0]}:{host[1]}",
                "active": [f"{topic}-{number}" for topic, number in routes.active.get(host, ())],
                "standby": [f"{topic}-{number}" for topic, number in routes.standby.get(host, ())],
            }
            for host in dict.fromkeys((*routes.active, *routes.standby))
        ]

    def metrics(self) -> dict[str, dict[str, Any]]:
        """By thread."""
        return {thread.name: asdict(thread.metrics) for thread in self._threads}

    def _start_thread(self, number: int) -> None:
        name = f"{self._application.config.streams.application_id}-StreamThread-{number}"
        thread = StreamThread(self._application, name, number)
        runner = threading.Thread(target=self._run, args=(thread, number), name=name, daemon=True)
        with self._mutex:
            self._threads = [each for each in self._threads if each.name != name] + [thread]
            self._runners.append(runner)
        runner.start()

    def _run(self, thread: StreamThread, number: int) -> None:
        try:
            thread.run()
            return
        except Exception as error:  # noqa: BLE001 # whatever it is, the application says what follows
            failure = error
        _log.error("%s failed: %s", thread.name, failure, exc_info=failure)
        response = self._response_to(failure)
        if response == "replace_thread" and self._state is State.REBALANCING:
            self._start_thread(number)
            return
        is_new = number not in self._telling  # or it fails before it could say so, and would again
        if response == "shutdown_application" and self._state is State.REBALANCING and is_new:
            # A thread has to say it to the group: then all threads of all instances are told.
            self._telling.add(number)
            self._first_failure = self._first_failure or failure
            self._application.shall_all_end = True
            self._start_thread(number)
            return
        self._end(self._first_failure or failure)

    def _response_to(self, failure: Exception) -> Response:
        if isinstance(failure, ShutdownRequestedError):
            return "shutdown_client"
        try:
            return self._on_error(failure)
        except Exception as error:  # noqa: BLE001 # the user's
            _log.error("on_error failed: %s", error)
            return "shutdown_client"

    def _global_failed(self, failure: Exception) -> None:
        _log.error("the global tables are not followed any more: %s", failure, exc_info=failure)
        self._end(failure)

    def _end(self, failure: Exception) -> None:
        self.error = failure
        self._state = State.ERROR
        for thread in self._threads:
            thread.stop()
        self._ended.set()
