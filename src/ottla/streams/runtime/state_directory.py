"""Where an application's state is on disk: `state.dir/APPLICATION/TASK/KIND/STORE`."""

from __future__ import annotations

import fcntl
import glob
import json
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, NamedTuple
from uuid import UUID, uuid4

from ottla.streams.errors import StateStoreError
from ottla.streams.runtime.protocol import TaskId
from ottla.streams.state.cache import CacheBudget
from ottla.streams.state.disk import full_disk
from ottla.streams.state.ordered_bytes import MemoryBytes, OrderedBytes
from ottla.streams.state.stack import Kind

_LOCK: Final = ".lock"
_PROCESS: Final = "process.json"
_STORES: Final = "stores.json"


class StoreShape(NamedTuple):
    """What the bytes of a store depend on, beside its serdes (see StoreBuilder)."""

    meaning: str
    layout: str = ""
    is_logged: bool = True


class Changes(NamedTuple):
    """The stores that the topology has no more, and those whose state here was deleted to be restored."""

    gone: list[str]
    laid_out_anew: list[str]


class StateDirectory:
    """Of one process: no other may have it. Its threads take tasks' folders, one thread each."""

    def __init__(self, base: Path, application_id: str, default: Kind, map_bytes: int) -> None:
        """Raises StateStoreError where another process has it, or it cannot be written."""
        self.folder = base / application_id
        self._default = default
        self._map_bytes = map_bytes
        self._owners: dict[TaskId, str] = {}
        self._mutex = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] | None = (self.folder / _LOCK).open("a")
        except OSError as error:
            raise StateStoreError(f"the state in {self.folder} cannot be used: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            if isinstance(error, BlockingIOError):
                raise StateStoreError(
                    f"another process has the state in {self.folder}: each instance needs its own state.dir"
                ) from None
            raise StateStoreError(f"the state in {self.folder} cannot be locked: {error}") from error
        try:
            self.process_id = self._process_id()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def take(self, task: TaskId, thread: str) -> bool:
        """Whether the thread has the task's folder now: another one may not have given it up yet."""
        with self._mutex:
            return self._owners.setdefault(task, thread) == thread

    def give_back(self, task: TaskId, thread: str) -> None:
        with self._mutex:
            if self._owners.get(task) == thread:
                del self._owners[task]

    def tasks(self) -> list[TaskId]:
        """Those of which there is some state that no thread has."""
        found = []
        for entry in self.folder.iterdir():
            group, _, partition = entry.name.partition("_")
            if entry.is_dir() and group.isdigit() and partition.isdigit():
                found.append(TaskId(int(group), int(partition)))
        with self._mutex:
            return sorted(task for task in found if task not in self._owners)

    def open_bytes(self, task_id: str, store: str, kind: Kind) -> OrderedBytes:
        """Raises StateStoreError."""
        chosen = self._default if kind == "default" else kind
        if chosen == "memory":
            return MemoryBytes()
        folder = self.folder / task_id / chosen / store
        try:
            if chosen == "rocksdb":
                from ottla.streams.state.rocksdb import RocksBytes

                return RocksBytes(folder)
            from ottla.streams.state.lmdb import LmdbBytes

            return LmdbBytes(folder, self._map_bytes)
        except ImportError as error:
            raise StateStoreError(
                f"state in {chosen} needs its library: pip install 'ottla[streams]'"
            ) from error

    def check_stores(self, stores: Mapping[str, StoreShape]) -> Changes:
        """Compare what each store is with what it was when the state was written. Raises StateStoreError
        where a store of the same name is another kind of store now. What lies otherwise than it would now is
        deleted, where a changelog has it, too."""
        path = self.folder / _STORES
        before = _shapes(path)
        laid_out_anew = []
        for name, now in stores.items():
            was = before.get(name, now)
            if was.meaning != now.meaning:
                raise StateStoreError(
                    f"the topology has changed: the store {name} has {now.meaning} now and had {was.meaning},"
                    f" so that what is in {self.folder} and in its changelog cannot be read. Give the store"
                    " another name, or delete that folder and the changelog's topic"
                )
            if was.layout != now.layout:
                if not now.is_logged:
                    raise StateStoreError(
                        f"the topology has changed: the store {name} has {now.layout} now and had"
                        f" {was.layout}, of another retention, and no changelog. Delete {self.folder}"
                    )
                for folder in self.folder.glob(f"*_*/*/{glob.escape(name)}"):
                    shutil.rmtree(folder)
                laid_out_anew.append(name)
        shapes = {name: shape._asdict() for name, shape in stores.items()}
        self._write(path, json.dumps(shapes, indent=1, sort_keys=True))
        return Changes(sorted(before.keys() - stores.keys()), laid_out_anew)

    def _process_id(self) -> UUID:
        """Kept over restarts: so state stays with the process that comes back."""
        path = self.folder / _PROCESS
        try:
            return UUID(json.loads(path.read_text())["processId"])
        except (OSError, ValueError, KeyError, TypeError):
            process_id = uuid4()
            self._write(path, json.dumps({"processId": str(process_id)}))
            return process_id

    def _write(self, path: Path, text: str) -> None:
        """The whole file, or nothing of it."""
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_text(text)
            temporary.replace(path)
        except OSError as error:
            raise StateStoreError(f"{path} cannot be written: {full_disk(self.folder) or error}") from error


class ThreadEnvironment:
    """What a thread's stores are made in."""

    def __init__(self, directory: StateDirectory, cache_max_bytes: int) -> None:
        self._directory = directory
        self.cache = CacheBudget(cache_max_bytes) if cache_max_bytes else None

    def open_bytes(self, task_id: str, store: str, kind: Kind) -> OrderedBytes:
        return self._directory.open_bytes(task_id, store, kind)


def _shapes(path: Path) -> dict[str, StoreShape]:
    """Raises StateStoreError where they cannot be read."""
    try:
        return {name: StoreShape(**shape) for name, shape in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise StateStoreError(f"{path} cannot be read: {error}") from error


def folder_of(base: Path, application_id: str) -> Path:
    """The folder of an application's state. StateStoreError where the id would lead elsewhere."""
    if application_id in ("", ".", "..") or "/" in application_id or "\0" in application_id:
        raise StateStoreError(
            f"{application_id!r} cannot be an application's id: its state is a folder's name"
        )
    return base / application_id


def forget(base: Path, application_id: str) -> bool:
    """Delete an application's state; whether there was any. StateStoreError where it is in use, or none."""
    folder = folder_of(base, application_id)
    if not folder.exists():
        return False
    if not (folder / _PROCESS).is_file() or not (folder / _LOCK).is_file():
        raise StateStoreError(f"{folder} is not an application's state: delete it by hand if it may go")
    directory = StateDirectory(base, application_id, "memory", 0)
    try:
        shutil.rmtree(folder)
    finally:
        directory.close()
    return True
