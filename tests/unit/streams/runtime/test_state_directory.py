"""Where state is on disk, and whose it is."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from ottla.streams.errors import StateStoreError
from ottla.streams.runtime.protocol import TaskId
from ottla.streams.runtime.state_directory import StateDirectory, forget


def opened(base: Path) -> StateDirectory:
    return StateDirectory(base, "app", "lmdb", 1 << 20)


def test_another_process_is_refused(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    answers: multiprocessing.Queue[str] = multiprocessing.get_context("fork").Queue()
    process = multiprocessing.get_context("fork").Process(target=_open_elsewhere, args=(tmp_path, answers))
    process.start()
    assert "another process has the state" in answers.get(timeout=30)
    process.join(30)
    directory.close()
    opened(tmp_path).close()


def _open_elsewhere(base: Path, answers: multiprocessing.Queue[str]) -> None:
    try:
        opened(base)
        answers.put("opened")
    except StateStoreError as error:
        answers.put(str(error))


def test_a_process_keeps_its_id(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.close()
    second = opened(tmp_path)
    assert first.process_id == second.process_id
    second.close()
    (tmp_path / "app" / "process.json").write_text("nonsense")
    third = opened(tmp_path)
    assert third.process_id != first.process_id
    third.close()


def test_a_task_is_one_threads(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    task = TaskId(0, 3)
    directory.open_bytes(str(task), "counts", "default").close()
    assert (tmp_path / "app" / "0_3" / "lmdb" / "counts").is_dir()
    assert directory.tasks() == [task]
    assert directory.take(task, "one")
    assert directory.take(task, "one")
    assert not directory.take(task, "two")
    assert directory.tasks() == []
    directory.give_back(task, "two")
    assert not directory.take(task, "two")
    directory.give_back(task, "one")
    assert directory.take(task, "two")
    directory.close()


def test_changed_stores_are_recognised(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    assert directory.check_stores({"a": "kv", "b": "kv"}) == []
    assert directory.check_stores({"a": "kv", "c": "kv"}) == ["b"]
    with pytest.raises(StateStoreError, match="the store a has windows now and had kv"):
        directory.check_stores({"a": "windows"})
    directory.close()


def test_forgetting_needs_the_directory(tmp_path: Path) -> None:
    assert not forget(tmp_path, "app")
    directory = opened(tmp_path)
    with pytest.raises(StateStoreError, match="another process"):
        forget(tmp_path, "app")
    directory.close()
    assert forget(tmp_path, "app")
    assert not (tmp_path / "app").exists()
