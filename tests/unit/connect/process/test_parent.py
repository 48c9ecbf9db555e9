"""The worker, as its processes see it."""

from __future__ import annotations

import logging
import queue
import socket
import threading

import pytest

from ottla.connect.process.parent import Parent
from ottla.connect.worker.frames import Message, encode


@pytest.mark.timeout(30)
def test_an_event_that_fails_does_not_end_the_reading(caplog: pytest.LogCaptureFixture) -> None:
    heard: queue.Queue[str] = queue.Queue()
    closed = threading.Event()

    def told(event: str, message: Message) -> None:
        if event == "log_level":
            raise ValueError(message["level"])
        heard.put(event)

    ours, theirs = socket.socketpair()
    with theirs, caplog.at_level(logging.ERROR), ours:
        Parent(theirs, {}, told, closed.set)
        ours.sendall(encode({"event": "log_level", "level": "Level 5"}) + encode({"event": "stop"}))
        assert heard.get(timeout=10) == "stop"
        assert not closed.is_set()
        ours.shutdown(socket.SHUT_RDWR)
        assert closed.wait(10)
    assert "log_level" in caplog.text
