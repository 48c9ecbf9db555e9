"""A disk in memory that forgets what was not synced, tears writes, runs full and fails to sync.

Files remember the writes, and folders the entries, that came since they were last synced. A power loss keeps
some of that: of every file's writes any subset, some of them cut short or turned into zeros, and of the
changes of folders a prefix, as a journal does. It takes from a file what was written, and from a folder what
lies in it: a folder that was never synced into its parent goes with all its files.

`SimulatedDisk` is the port that storage asks of a disk. A whole broker is given a `mount()` of it, which is
dead for good once the power went, so that nothing of an old life writes into the next one.
"""

from __future__ import annotations

import errno
import os
import os.path
from collections.abc import Sequence
from random import Random
from typing import Any

from ottla.records.batch import Buffer
from ottla.storage.fs import TEMPORARY, DiskSpace

UNBOUNDED = 1 << 40  # bytes of a disk that never runs full


class PowerLossError(Exception):
    """The machine is off: nothing works until `SimulatedDisk.restart`."""


class _Inode:
    """A file's content."""

    def __init__(self, modified_ms: int) -> None:
        self.data = bytearray()
        self.durable = b""
        self.unsynced: list[tuple[int, bytes | None]] = []  # (position, data), (size, None) cuts
        self.modified_ms = modified_ms

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
            fate = random.randrange(6)
            if fate == 0:
                continue
            if fate == 1 and written:
                written = written[: random.randrange(len(written))]
            elif fate == 2 and written:
                written = bytes(len(written))  # the size was on the disk before the data
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


class _Folder:
    """What lies in it now, and what would after a power loss."""

    def __init__(self) -> None:
        self.entries: dict[str, _Inode | _Folder] = {}
        self.durable: dict[str, _Inode | _Folder] = {}

    def files(self) -> list[_Inode]:
        found: list[_Inode] = []
        for node in self.entries.values():
            found += node.files() if isinstance(node, _Folder) else [node]
        return found

    def lose_power(self, random: Random) -> None:
        self.entries = dict(self.durable)
        for node in self.entries.values():
            node.lose_power(random)


class _Change:
    """In `folder`, `name` becomes `node` or disappears, and `source` disappears with it: a crash sees all of
    that or nothing.
    """

    def __init__(self, folder: _Folder, name: str, node: _Inode | _Folder | None, source: str | None) -> None:
        self.folder = folder
        self.name = name
        self.node = node
        self.source = source

    def apply(self, entries: dict[str, _Inode | _Folder]) -> None:
        if self.source is not None:
            entries.pop(self.source, None)
        entries.pop(self.name, None)
        if self.node is not None:
            entries[self.name] = self.node


class SimulatedFile:
    def __init__(self, disk: SimulatedDisk, path: str, *, create: bool) -> None:
        self._disk = disk
        self._create = create
        self._boots = disk.boots
        self.path = path

    def _inode(self) -> _Inode:
        self._disk.check_power(self._boots)
        return self._disk.inode(self.path, create=self._create)

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        data = b"".join(buffers)
        inode = self._inode()
        self._disk.step()
        data = data[: self._disk.room(len(data), position, inode)]
        inode.write(position, data)
        inode.modified_ms = self._disk.now_ms
        return len(data)

    def pread(self, size: int, position: int) -> bytes:
        return bytes(self._inode().data[position : position + size])

    def slice(self, size: int, position: int) -> bytes:
        return self.pread(size, position)

    def truncate(self, size: int) -> None:
        inode = self._inode()
        self._disk.step()
        if self._disk.fails_to_truncate:
            raise _error(errno.EIO)
        inode.truncate(size)

    def size(self) -> int:
        return len(self._inode().data)

    def sync(self) -> None:
        self._disk.check_power(self._boots)
        self._disk.sync_file(self.path)

    def close(self) -> None:
        pass


class SimulatedLock:
    def __init__(self, held: set[str], path: str) -> None:
        self._held = held
        self._path = path

    def release(self) -> None:
        self._held.discard(self._path)


class Mount:
    """The disk as one life of a machine sees it."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self._boots = disk.boots

    def __getattr__(self, name: str) -> Any:
        self._disk.check_power(self._boots)
        return getattr(self._disk, name)


class SimulatedDisk:
    """`steps` counts what changes the disk; `power_loss_at` is the step at which the machine goes off.

    `folders` are there, durably, from the beginning.
    """

    def __init__(self, seed: int = 0, folders: Sequence[str] = ("/data",)) -> None:
        self._random = Random(seed)
        self._root = _Folder()
        self._unsynced: list[_Change] = []
        self._locks: set[str] = set()
        self._is_off = False
        self.boots = 0
        self.steps = 0
        self.power_loss_at: int | None = None
        self.capacity: int | None = None
        self.fails_to_sync = False
        self.fails_to_truncate = False
        self.now_ms = 0
        for folder in folders:
            self.make_dirs(folder)
        self.sync_all()
        self.steps = 0

    # -- Faults ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One change is about to happen."""
        if self._is_off or self.steps == self.power_loss_at:
            self._is_off = True
            raise PowerLossError
        self.steps += 1

    def check_power(self, boots: int) -> None:
        """Raises PowerLossError for whoever is of a life before."""
        if boots != self.boots:
            raise PowerLossError

    def lose_power(self) -> None:
        self._is_off = True

    def kill(self) -> None:
        """Whoever uses it ends in the middle of something; what was not synced is still to be read."""
        self._locks = set()
        self.boots += 1

    def restart(self) -> None:
        """Switch on after a power loss, with what the disk kept."""
        kept = self._random.randrange(len(self._unsynced) + 1)
        for change in self._unsynced[:kept]:
            change.apply(change.folder.durable)
        self._unsynced = []
        self._root.lose_power(self._random)
        self._locks = set()
        self._is_off = False
        self.power_loss_at = None
        self.boots += 1

    def mount(self) -> Mount:
        """This disk until its user is killed, or the power is lost."""
        return Mount(self)

    def room(self, size: int, position: int, inode: _Inode) -> int:
        """How many of `size` bytes fit. Raises OSError(ENOSPC) when none does."""
        if self.capacity is None:
            return size
        available = max(self.capacity - self._used(without=inode) - position, 0)
        if size and not available:
            raise _error(errno.ENOSPC)
        return min(size, available)

    def _used(self, without: _Inode | None = None) -> int:
        return sum(len(inode.data) for inode in self._root.files() if inode is not without)

    # -- Finding ---------------------------------------------------------------------------------------------

    def _find(self, path: str) -> _Inode | _Folder | None:
        node: _Inode | _Folder | None = self._root
        for name in path.split("/"):
            if name:
                if not isinstance(node, _Folder):
                    return None
                node = node.entries.get(name)
        return node

    def _folder(self, path: str) -> _Folder:
        node = self._find(path)
        if not isinstance(node, _Folder):
            raise _error(errno.ENOENT if node is None else errno.ENOTDIR, path)
        return node

    def inode(self, path: str, *, create: bool = False) -> _Inode:
        node = self._find(path)
        if isinstance(node, _Folder):
            raise _error(errno.EISDIR, path)
        if node is None:
            if not create:
                raise _error(errno.ENOENT, path)
            folder = self._folder(os.path.dirname(path))
            self.step()
            node = _Inode(self.now_ms)
            self._change(folder, path, node)
        return node

    def _change(
        self, folder: _Folder, path: str, node: _Inode | _Folder | None, source: str | None = None
    ) -> None:
        change = _Change(folder, os.path.basename(path), node, source and os.path.basename(source))
        change.apply(folder.entries)
        self._unsynced.append(change)

    # -- FileSystem ------------------------------------------------------------------------------------------

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
            raise _error(errno.ENOSPC)

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
        folder = self._folder(path)
        self.step()
        self._check_sync()
        folder.durable = dict(folder.entries)
        self._unsynced = [change for change in self._unsynced if change.folder is not folder]

    def _check_sync(self) -> None:
        if self.fails_to_sync:
            raise _error(errno.EIO)

    def sync_all(self) -> None:
        self.step()
        self._check_sync()
        for change in self._unsynced:
            change.apply(change.folder.durable)
        self._unsynced = []
        for inode in self._root.files():
            inode.sync()

    def exists(self, path: str) -> bool:
        return self._find(path) is not None

    def size(self, path: str) -> int:
        return len(self.inode(path).data)

    def space(self, path: str) -> DiskSpace:
        self._folder(path)
        total = UNBOUNDED if self.capacity is None else self.capacity
        return DiskSpace(total, max(total - self._used(), 0))

    def modified_ms(self, path: str) -> int:
        return self.inode(path).modified_ms

    def set_modified_ms(self, path: str, modified_ms: int) -> None:
        self.inode(path).modified_ms = modified_ms

    def listdir(self, path: str) -> list[str]:
        return list(self._folder(path).entries)

    def make_dirs(self, path: str, *, sync: bool = False) -> None:
        parent = os.path.dirname(path)
        if self.exists(path):
            self._folder(path)
            return
        self.make_dirs(parent, sync=sync)
        self.step()
        self._change(self._folder(parent), path, _Folder())
        if sync:
            self.sync_dir(parent)

    def rename(self, source: str, target: str) -> None:
        node = self._find(source)
        if node is None:
            raise _error(errno.ENOENT, source)
        replaced = self._find(target)
        if isinstance(replaced, _Folder) and (isinstance(node, _Inode) or replaced.entries):
            raise _error(errno.EISDIR if isinstance(node, _Inode) else errno.ENOTEMPTY, target)
        folder = self._folder(os.path.dirname(target))
        assert folder is self._folder(os.path.dirname(source)), "nothing is moved between folders"
        self.step()
        self._change(folder, target, node, source)

    def unlink(self, path: str, *, missing_ok: bool = True) -> None:
        if self._find(path) is None:
            if missing_ok:
                return
            raise _error(errno.ENOENT, path)
        self.inode(path)
        self.step()
        self._change(self._folder(os.path.dirname(path)), path, None)

    def remove_dir(self, path: str) -> None:
        if self._folder(path).entries:
            raise _error(errno.ENOTEMPTY, path)
        self.step()
        self._change(self._folder(os.path.dirname(path)), path, None)

    def lock(self, path: str) -> SimulatedLock:
        self.inode(path, create=True)
        if path in self._locks:
            raise BlockingIOError(errno.EAGAIN, "held by another process", path)
        self._locks.add(path)
        return SimulatedLock(self._locks, path)


def _error(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)
