"""A measured Ottla is what a user runs: with bytecode, from a source that does not change meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench import brokers, compare, processes, source


def test_brokers_keep_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "elsewhere")
    found = brokers.environment(DATA="here")
    assert found.keys().isdisjoint({"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"})
    assert (found["DATA"], found["PATH"]) == ("here", os.environ["PATH"])


def test_snapshot_starts_and_is_kept_compiled() -> None:
    with source.snapshot() as copied:
        name = "ottla/__init__.py"
        assert (copied / name).read_bytes() == (source.ROOT / "src" / name).read_bytes()
        assert not list(copied.rglob("*.pyc"))
        with brokers.ottla(source=copied) as broker:
            assert broker.start_s > 0
            assert broker.resident_mb() > 10
        assert any(path.name.startswith("server.") for path in copied.rglob("*.pyc"))
    assert not copied.exists()


def test_unknown_commit_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError), source.revision("no-such-commit"):
        pass


def test_other_ottla_may_be_that_of_a_python(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho not this one >&2\nexit 3\n")
    python.chmod(0o755)
    with contextlib.ExitStack() as stack:
        start = compare.ottla_of(stack, "theirs", str(python))
        with pytest.raises(RuntimeError, match="not this one"), start():
            pass


def test_cpu_is_that_of_the_process_and_its_children() -> None:
    spin = "import time\nwhile time.process_time() < 0.3: pass\n"
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {spin + 'input()'!r}])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while processes.cpu_s(process.pid) < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        used = processes.cpu_s(process.pid)
        process.communicate(b"\n")
    assert used >= 0.3


def test_busiest_thread_is_a_part_of_the_whole() -> None:
    own = processes.OwnCpu()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    total_s, busiest_s = own.used_s()
    assert total_s >= 0.2
    assert 0.1 <= busiest_s <= total_s + 0.05


def test_ended_process_uses_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    assert (processes.cpu_s(process.pid), processes.thread_cpu_s(process.pid)) == (0.0, {})
