"""Where state is on disk, and whose it is."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from ottla.streams.errors import StateStoreError
from ottla.streams.runtime.protocol import TaskId
from ottla.streams.runtime.state_directory import StateDirectory, StoreShape, folder_of, forget


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
    shape = StoreShape("kv")
    assert directory.check_stores({"a": shape, "b": shape}) == ([], [])
    assert directory.check_stores({"a": shape, "c": shape}) == (["b"], [])
    with pytest.raises(StateStoreError, match="the store a has windows now and had kv"):
        directory.check_stores({"a": StoreShape("windows")})
    directory.close()


def test_what_lies_otherwise_is_deleted_where_a_changelog_has_it(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    hours, days = (StoreShape("windows", f"segments of {each}") for each in ("1 h", "1 d"))
    directory.check_stores({"a": hours, "b": hours})
    for name in ("a", "b"):
        directory.open_bytes("0_3", name, "default").close()
    assert directory.check_stores({"a": days, "b": hours}) == ([], ["a"])
    assert [each.name for each in (tmp_path / "app" / "0_3" / "lmdb").iterdir()] == ["b"]
    assert directory.check_stores({"a": days, "b": hours}) == ([], [])
    with pytest.raises(StateStoreError, match="b has segments of 1 d now and had segments of 1 h"):
        directory.check_stores({"b": days._replace(is_logged=False)})
    (tmp_path / "app" / "stores.json").write_text('{"a": "windows"}')
    with pytest.raises(StateStoreError, match=r"stores\.json cannot be read"):
        directory.check_stores({"a": days})
    directory.close()


def test_forgetting_needs_the_directory(tmp_path: Path) -> None:
    assert not forget(tmp_path, "app")
    directory = opened(tmp_path)
    with pytest.raises(StateStoreError, match="another process"):
        forget(tmp_path, "app")
    directory.close()
    assert forget(tmp_path, "app")
    assert not (tmp_path / "app").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../other", "/tmp", "a\0b"])
def test_an_id_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "base" / "a" / "b").mkdir(parents=True)
    for refuses in (folder_of, forget):
        with pytest.raises(StateStoreError, match="cannot be an application's id"):
            refuses(tmp_path / "base", name)
    assert (tmp_path / "base" / "a" / "b").is_dir()


@pytest.mark.parametrize("there", [[], ["process.json"], [".lock"]])
def test_what_is_no_state_is_not_forgotten(tmp_path: Path, there: list[str]) -> None:
    (tmp_path / "app").mkdir()
    for name in [*there, "letter.txt"]:
        (tmp_path / "app" / name).touch()
    with pytest.raises(StateStoreError, match="is not an application's state"):
        forget(tmp_path, "app")
    assert sorted(each.name for each in (tmp_path / "app").iterdir()) == sorted([*there, "letter.txt"])
