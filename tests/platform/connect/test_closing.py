"""Workers whose brokers are gone end when they are told to."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from tests.platform.connect.test_distributed import settings
from tests.platform.connect.worker_process import WorkerProcess

from ottla.testing import run_broker


@pytest.mark.timeout(120)
def test_workers_end_without_brokers(loaded: None, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("one\n")
    with run_broker({"group.initial.rebalance.delay.ms": 0}) as broker:
        workers = [
            WorkerProcess(
                "distributed",
                broker.bootstrap_servers,
                tmp_path,
                **settings(name, task_shutdown_graceful_timeout_ms="1000"),
            )
            for name in ("first", "second")
        ]
        for worker in workers:
            worker.ready().create("lines", connector_class="FileStreamSource", file=str(lines), topic="lines")
        for worker in workers:
            worker.api.wait_for("lines", "RUNNING", "RUNNING")
    first, second = workers
    with lines.open("a") as added:
        added.write("two\n")
    first.process.send_signal(signal.SIGTERM)
    while second.process.poll() is None:  # whoever asks twice does not want to wait
        second.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert second.process.returncode == -signal.SIGTERM
    assert first.process.wait(30) == 0, first.log.read_text()
    for worker in workers:
        worker.close()
