"""Copiers in transactions, in four client libraries, while brokers and copiers are killed: all once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from .broker_process import BrokerProcess
from .clients import Clients
from .copying import SETTINGS, Copying

SHORT_ROUNDS, FULL_ROUNDS = 6, 200
END_S = 60.0


@pytest.mark.timeout(3600)
def test_each_input_makes_one_output(
    start_broker: Callable[..., BrokerProcess],
    clients: Callable[[BrokerProcess], Clients],
    pytestconfig: pytest.Config,
    tmp_path: Path,
) -> None:
    rounds = FULL_ROUNDS if pytestconfig.getoption("--full") else SHORT_ROUNDS
    broker = start_broker(SETTINGS)
    copying = Copying(clients(broker), broker.bootstrap, tmp_path)
    done: Counter[str] = Counter()
    try:
        for _ in range(rounds):
            copying.keep_alive()
            time.sleep(random.uniform(0.5, 2.5))
            kind = random.choice(["broker", "copier", "both"])
            if kind != "broker":
                done[copying.disturb(random.Random())] += 1
            if kind != "copier":
                broker.kill_and_start()
                done["broker killed"] += 1
        kinds = copying.finish(END_S)
    finally:
        copying.end()
    lives = [worker.lives for worker in copying.workers]
    print(f"exactly once: {dict(done)}, {lives} lives, {dict(kinds)}")
    assert kinds["transaction", "ok"] > rounds
    assert "Traceback" not in broker.all_stderr()
