"""A disk in memory that forgets what was not synced, tears writes, runs full and fails to sync.

Files and folder entries each remember what was done to them since they were last synced. A power loss keeps
some of that: of every file's writes any subset, one of them maybe cut short, and of the entries a prefix, as
a journal does.
"""

from __future__ import annotations

import errno
import os.path
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from ottla.records.batch import Buffer
from ottla.storage.fs import TEMPORARY


class PowerLossError(Exception):
    """The machine is off: nothing works until `SimulatedDisk.restart`."""


@dataclass(eq=False)
class _Inode:
    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    unsynced: list[tuple[int, bytes | None]] = field(
        default_factory=list
    )  # (position, data), (size, None) cuts
    modified_ms: int = 0

    def write(self, position: int, data: bytes) -> None:
        self.unsynced.append((position, data))
        _apply(self.data, position, data)

    def truncate(self, size: int) -> None:
        self.unsynced.append((size, None))
        _apply(self.data, size, None)

    def sync(self) -> None:
        self.durable = bytes(self.data)
        self.unsynced.clear()

    def lose_power(self, random: Random) -> None:
        data = bytearray(self.durable)
        for position, written in self.unsynced:
            fate = random.randrange(4)
            if fate == 0:
                continue
            if fate == 1 and written:
                written = written[: random.randrange(len(written))]
            _apply(data, position, written)
        self.data = data
        self.sync()


def _apply(data: bytearray, position: int, written: bytes | None) -> None:
    if len(data) < position:
        data.extend(bytes(position - len(data)))
    if written is None:
        del data[position:]
    else:
        data[position : position + len(written)] = written


@dataclass
class _Entry:
    """A change of a folder: `path` becomes `inode`, or disappears."""

    path: str
    inode: _Inode | None


@dataclass
class _Rename(_Entry):
    source: str


class SimulatedFile:
    def __init__(self, disk: SimulatedDisk, path: str, *, create: bool) -> None:
        self._disk = disk
        self._create = create
        self.path = path

    def _inode(self) -> _Inode:
        return self._disk.inode(self.path, create=self._create)

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        data = b"".join(buffers)
        inode = self._inode()
        self._disk.step()
        data = data[: self._disk.room(len(data), position, inode)]
        inode.write(position, data)
        return len(data)

    def pread(self, size: int, position: int) -> bytes:
        return bytes(self._inode().data[position : position + size])

    def slice(self, size: int, position: int) -> bytes:
        return self.pread(size, position)

    def truncate(self, size: int) -> None:
        inode = self._inode()
        self._disk.step()
        if self._disk.fails_to_truncate:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        inode.truncate(size)

    def size(self) -> int:
        return len(self._inode().data)

    def sync(self) -> None:
        self._disk.sync_file(self.path)

    def close(self) -> None:
        pass


class SimulatedLock:
    def release(self) -> None:
        pass


class SimulatedDisk:
    """`steps` counts what changes the disk; `power_loss_at` is the step at which the machine goes off."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self._entries: dict[str, _Inode] = {}
        self._durable_entries: dict[str, _Inode] = {}
        self._unsynced_entries: list[_Entry] = []
        self._folders = {"/"}
        self._is_off = False
        self.steps = 0
        self.power_loss_at: int | None = None
        self.capacity: int | None = None
        self.fails_to_sync = False
        self.fails_to_truncate = False
        self.now_ms = 0

    # -- Faults ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One change is about to happen."""
        if self._is_off or self.steps == self.power_loss_at:
            self._is_off = True
            raise PowerLossError
        self.steps += 1

    def lose_power(self) -> None:
        self._is_off = True

    def restart(self) -> None:
        """Switch on after a power loss, with what the disk kept."""
        kept = self._random.randrange(len(self._unsynced_entries) + 1)
        entries = dict(self._durable_entries)
        for entry in self._unsynced_entries[:kept]:
            _change(entries, entry)
        for inode in dict.fromkeys(entries.values()):
            inode.lose_power(self._random)
        self._entries = entries
        self._durable_entries = dict(entries)
        self._unsynced_entries = []
        self._is_off = False
        self.power_loss_at = None

    def room(self, size: int, position: int, inode: _Inode) -> int:
        """How many of `size` bytes fit. Raises OSError(ENOSPC) when none does."""
        if self.capacity is None:
            return size
        others = sum(len(other.data) for other in self._entries.values() if other is not inode)
        available = max(self.capacity - others - position, 0)
        if size and not available:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return min(size, available)

    # -- FileSystem ------------------------------------------------------------------------------------------

    def inode(self, path: str, *, create: bool = False) -> _Inode:
        inode = self._entries.get(path)
        if inode is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            if os.path.dirname(path) not in self._folders:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            self.step()
            inode = _Inode(modified_ms=self.now_ms)
            self._change_entry(_Entry(path, inode))
        return inode

    def _change_entry(self, entry: _Entry) -> None:
        _change(self._entries, entry)
        self._unsynced_entries.append(entry)

    def open(self, path: str) -> SimulatedFile:
        return SimulatedFile(self, path, create=True)

    def open_private(self, path: str, *, create: bool = True) -> SimulatedFile:
        return SimulatedFile(self, path, create=create)

    def read_bytes(self, path: str) -> bytes:
        return bytes(self.inode(path).data)

    def write_bytes(self, path: str, data: bytes) -> None:
        file = self.open(path)
        file.truncate(0)
        if file.write((data,), 0) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_aside(self, path: str, data: bytes) -> None:
        self.write_bytes(path + TEMPORARY, data)
        self.rename(path + TEMPORARY, path)

    def write_atomic(self, path: str, data: bytes) -> None:
        self.write_bytes(path + TEMPORARY, data)
        self.sync_file(path + TEMPORARY)
        self.rename(path + TEMPORARY, path)
        self.sync_dir(os.path.dirname(path))

    def sync_file(self, path: str) -> None:
        inode = self.inode(path)
        self.step()
        self._check_sync()
        inode.sync()

    def sync_dir(self, path: str) -> None:
        self.step()
        self._check_sync()
        for entry in self._unsynced_entries:
            if os.path.dirname(entry.path) == path:
                _change(self._durable_entries, entry)
        self._unsynced_entries = [e for e in self._unsynced_entries if os.path.dirname(e.path) != path]

    def _check_sync(self) -> None:
        if self.fails_to_sync:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def sync_all(self) -> None:
        for path in list(self._entries):
            self.sync_file(path)
        for folder in list(self._folders):
            self.sync_dir(folder)

    def exists(self, path: str) -> bool:
        return path in self._entries or path in self._folders

    def size(self, path: str) -> int:
        return len(self.inode(path).data)

    def modified_ms(self, path: str) -> int:
        return self.inode(path).modified_ms

    def set_modified_ms(self, path: str, modified_ms: int) -> None:
        self.inode(path).modified_ms = modified_ms

    def listdir(self, path: str) -> list[str]:
        if path not in self._folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return [os.path.basename(name) for name in self._entries if os.path.dirname(name) == path]

    def make_dirs(self, path: str) -> None:
        while path not in self._folders:
            self._folders.add(path)
            path = os.path.dirname(path)

    def rename(self, source: str, target: str) -> None:
        inode = self.inode(source)
        self.step()
        # One change of the journal: a crash never sees both names, nor none.
        self._change_entry(_Rename(target, inode, source))

    def unlink(self, path: str, *, missing_ok: bool = True) -> None:
        if path not in self._entries:
            if missing_ok:
                return
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.step()
        self._change_entry(_Entry(path, None))

    def remove_dir(self, path: str) -> None:
        if self.listdir(path):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        self._folders.discard(path)

    def lock(self, path: str) -> SimulatedLock:
        return SimulatedLock()


def _change(entries: dict[str, _Inode], entry: _Entry) -> None:
    if isinstance(entry, _Rename):
        entries.pop(entry.source, None)
    if entry.inode is None:
        entries.pop(entry.path, None)
    else:
        entries[entry.path] = entry.inode
