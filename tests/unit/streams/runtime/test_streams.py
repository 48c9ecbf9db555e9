"""An instance that cannot begin, or ends at once: nothing is left behind, and nothing goes on for ever."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ottla.streams import Processor, Streams, StreamsError, Text, Topology
from ottla.streams.queries.transport import Server
from ottla.streams.runtime import calls
from ottla.streams.runtime.streams import State
from ottla.streams.runtime.thread import StreamThread


def instance(folder: Path, **settings: Any) -> Streams:
    topology = Topology(Text(), Text())
    topology.add_source("source", "in")
    topology.add_processor("through", Processor, "source")
    nowhere = {"application.id": "app", "bootstrap.servers": "127.0.0.1:1", "state.dir": str(folder)}
    return Streams(topology, nowhere, **settings)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StreamsError, match="cannot be listened on"):
            instance(tmp_path, application_server=address)
    instance(tmp_path, application_server=address).close()
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        instance(tmp_path).close()


def test_a_server_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ottla.http.server", None)
    with pytest.raises(StreamsError, match=r"pip install 'ottla\[streams-queries\]'"):
        instance(tmp_path, application_server="127.0.0.1:0")
    instance(tmp_path).close()


def test_what_was_begun_ends_where_the_rest_cannot_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_start(*_: object) -> None:
        raise StreamsError("no more threads")

    monkeypatch.setattr(Server, "start", no_start)
    app = instance(tmp_path, application_server="127.0.0.1:0")
    with pytest.raises(StreamsError, match="no more threads"):
        app.start()
    assert app.state is State.ERROR
    assert not any(each.is_alive() for each in app._runners)
    assert app._runners
    instance(tmp_path).close()


def test_a_thread_that_fails_before_it_could_tell_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def failing(thread: StreamThread) -> None:
        begun.append(thread.name)
        raise ValueError(f"failure {len(begun)}")

    monkeypatch.setattr(StreamThread, "run", failing)
    app = instance(tmp_path, on_error=lambda _: "shutdown_application").start()
    with pytest.raises(ValueError, match="failure 1"):
        app.wait(30)
    app.close()
    assert len(begun) == 2


def test_who_waits_no_longer_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_ANSWER_S", 0.01)
    loop, gate = asyncio.new_event_loop(), threading.Event()
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    busy: Any = StreamThread.__new__(StreamThread)
    busy._loop, busy._works = loop, {}
    asked: list[object] = []
    loop.call_soon_threadsafe(gate.wait)
    with pytest.raises(TimeoutError):
        busy.submit(asked.append)
    gate.set()
    monkeypatch.setattr(calls, "_ANSWER_S", 30)
    assert busy.submit(len) == 0
    with pytest.raises(ZeroDivisionError):
        busy.submit(lambda works: 1 // len(works))
    loop.call_soon_threadsafe(loop.stop)
    runner.join()
    loop.close()
    assert asked == []
