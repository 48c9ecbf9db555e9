"""Rounds of a restart share one log, and a round that changes it is found out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import wire
from bench.workloads import recovery
from bench.workloads.model import Context


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    for folder, name in (("log-0", "0.log"), ("log-0", "0.index"), ("__cluster_metadata-0", "0.log")):
        (tmp_path / "crashed" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "crashed" / folder / name).write_bytes(b"some bytes")
    return tmp_path / "crashed"


def test_only_logs_of_the_topic_are_shared(crashed: Path, tmp_path: Path) -> None:
    recovery.copy_of(crashed, tmp_path / "copy", "log")
    shared = [
        str(path.relative_to(crashed))
        for path in sorted(crashed.rglob("*"))
        if path.is_file() and path.samefile(tmp_path / "copy" / path.relative_to(crashed))
    ]
    assert shared == ["log-0/0.log"]
    assert (tmp_path / "copy/log-0/0.index").read_bytes() == b"some bytes"


class _Broker:
    address = "h:1"

    def crash(self) -> None:
        pass


def _context(touch: Callable[[Path], None]) -> Context:
    @contextlib.contextmanager
    def start(*, data: str, settings: tuple[str, ...] = ()) -> Iterator[_Broker]:
        touch(Path(data))
        yield _Broker()

    return Context(_Broker(), start, 1.0, None)  # type: ignore[arg-type]


@pytest.fixture
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "wait_topic", lambda *_, **__: None)
    monkeypatch.setattr(recovery, "verify", lambda *_: None)


@pytest.mark.usefixtures("_answers")
def test_round_leaves_the_crashed_folder_as_it_was(crashed: Path) -> None:
    context = _context(lambda data: (data / "log-0/0.index").unlink())
    row = recovery.restart(context, crashed, "log", 10)
    assert row["log GB"] == 10 / 1e9
    assert (crashed / "log-0/0.index").exists()
    assert [path.name for path in crashed.parent.iterdir()] == ["crashed"]


@pytest.mark.usefixtures("_answers")
def test_round_that_writes_to_the_shared_log_fails(crashed: Path) -> None:
    def append(data: Path) -> None:
        with (data / "log-0/0.log").open("ab") as file:
            file.write(b"more")

    with pytest.raises(RuntimeError, match="changed the log"):
        recovery.restart(_context(append), crashed, "log", 10)
