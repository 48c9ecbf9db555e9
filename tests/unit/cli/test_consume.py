import threading

import pytest

from ottla.cli import consume
from ottla.cli.connection import CommandError


class Closing:
    def __init__(self, wait: threading.Event) -> None:
        self.wait = wait
        self.is_closed = False

    def close(self) -> None:
        self.wait.wait(60)
        self.is_closed = True


def test_a_consumer_is_closed():
    may_close = threading.Event()
    may_close.set()
    consumer = Closing(may_close)
    consume.close(consumer)
    assert consumer.is_closed


def test_a_cluster_that_is_gone_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(consume, "CLOSE_TIMEOUT_S", 0.01)
    may_close = threading.Event()
    with pytest.raises(CommandError, match="may not be committed: the cluster does not answer"):
        consume.close(Closing(may_close))
    may_close.set()
