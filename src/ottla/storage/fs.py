"""The port through which storage reaches the disk, and its implementation over the operating system.

Storage asks for little, so that a test can put a simulated disk in its place that runs full, tears writes and
forgets what was not synced. Paths are strings. Errors are OSError, as the system raises them.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

from ottla.records.batch import Buffer

__all__ = [
    "DiskSpace",
    "File",
    "FileLock",
    "FileSlice",
    "FileSystem",
    "OsFileSystem",
    "Records",
    "Source",
    "TEMPORARY",
]

TEMPORARY = ".tmp"
"""The suffix of what is written aside."""

_MODE = 0o644
_DIRECTORY_MODE = 0o755
_NS_PER_MS = 1_000_000
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)  # Linux


class Source(Protocol):
    """Bytes that are somewhere else until they are sent: in a file, or on another machine."""

    def __len__(self) -> int: ...

    def __bytes__(self) -> bytes:
        """All of them, in memory. Raises OSError."""

    def read(self, start: int, size: int) -> bytes:
        """Some of them, in memory. Raises OSError."""

    def is_at_hand(self, start: int, size: int) -> bool:
        """Whether these can be sent without waiting for whoever has them."""

    def load(self, start: int, size: int) -> None:
        """Wait until these are at hand (any thread). Raises OSError."""

    def send_to(self, socket: int, start: int, size: int) -> int:
        """Send `size` bytes from `start` on, a place in this source, or as many as the socket takes now.

        Returns how many. Raises OSError, also where there is less than was said.
        """


class FileSlice:
    """A part of a file that is read when it is sent, so that it takes no memory until then (a `Source`).

    It stays readable when the file is closed or removed; its descriptor is given back with the last slice.
    """

    __slots__ = ("_descriptor", "_position", "_size")

    def __init__(self, descriptor: _Descriptor, position: int, size: int) -> None:
        self._descriptor = descriptor
        self._position = position
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return self.read(0, self._size)

    def read(self, start: int, size: int) -> bytes:
        data = os.pread(self._descriptor.fd, size, self._position + start)
        if len(data) < size:
            raise _cut_off()
        return data

    def is_at_hand(self, start: int, size: int) -> bool:
        """Whether the system has the first and the last of these bytes in memory, and so likely all: it reads
        and drops many at a time. True where it cannot tell.
        """
        first = self._position + start
        return _is_cached(self._descriptor.fd, first) and _is_cached(self._descriptor.fd, first + size - 1)

    def load(self, start: int, size: int) -> None:
        """Bring the bytes into the page cache."""
        fd, first = self._descriptor.fd, self._position + start
        os.posix_fadvise(fd, first, size, os.POSIX_FADV_WILLNEED)  # all at once; reading takes piece by piece
        os.pread(fd, size, first)

    def send_to(self, socket: int, start: int, size: int) -> int:
        """Have the kernel send the bytes, from the file to the socket."""
        sent = os.sendfile(socket, self._descriptor.fd, self._position + start, size)
        if not sent:
            raise _cut_off()
        return sent


def _is_cached(fd: int, position: int) -> bool:
    if not _NOWAIT:
        return True
    try:
        os.preadv(fd, (bytearray(1),), position, _NOWAIT)
    except BlockingIOError:
        return False
    except OSError:  # a file system that does not know the flag; or an error that the sending will meet
        return True
    return True


def _cut_off() -> OSError:
    return OSError(errno.EIO, "the file ends before the records that were found in it")


Records: TypeAlias = bytes | Source
"""What was read from a log, or will be; `bytes(records)` reads it in any case, and may raise OSError."""


class DiskSpace(NamedTuple):
    """Bytes of a disk: in all, and free for us."""

    total: int
    free: int


class File(Protocol):
    """One file, addressed by position. It is created by the first write or truncation, not by opening it."""

    @property
    def path(self) -> str: ...

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        """Write the buffers one after another with one system call; returns how many bytes, maybe fewer than
        all.
        """

    def pread(self, size: int, position: int) -> bytes:
        """Read up to `size` bytes; fewer only at the end of the file."""

    def slice(self, size: int, position: int) -> Records:
        """As `pread`, but the reading may happen later."""

    def truncate(self, size: int) -> None: ...

    def size(self) -> int: ...

    def sync(self) -> None:
        """Wait until the file's data is on disk (fdatasync)."""

    def close(self) -> None:
        """Give the descriptor back. A pooled file opens again when it is next used."""


class FileLock(Protocol):
    def release(self) -> None: ...


class FileSystem(Protocol):
    """Files and folders. Only what says so may be called outside of the thread that owns the logs."""

    def open(self, path: str) -> File:
        """A file whose descriptor is opened when needed and shared in a bounded pool: owner thread only."""

    def open_private(self, path: str, *, create: bool = True) -> File:
        """A file with a descriptor of its own until `close`: any thread, one at a time.

        With `create=False` it is only read, and raises FileNotFoundError at first use when it is missing.
        """

    def read_bytes(self, path: str) -> bytes: ...

    def write_bytes(self, path: str, data: bytes) -> None:
        """Replace the file's content in place; not synced."""

    def write_aside(self, path: str, data: bytes) -> None:
        """Replace the file as a whole for everyone who reads it, by a rename; not synced."""

    def write_atomic(self, path: str, data: bytes) -> None:
        """Replace the file durably: after a crash it has either the old content or the new (any thread)."""

    def sync_file(self, path: str) -> None:
        """Wait until the file's data is on disk (any thread)."""

    def sync_dir(self, path: str) -> None:
        """Wait until the folder's entries are on disk: creations, renames, removals (any thread)."""

    def sync_all(self) -> None:
        """Wait until everything written so far is on disk: cheaper than syncing thousands of files (any
        thread).
        """

    def exists(self, path: str) -> bool: ...

    def size(self, path: str) -> int: ...

    def space(self, path: str) -> DiskSpace:
        """Of the disk that holds this file or folder."""

    def modified_ms(self, path: str) -> int: ...

    def set_modified_ms(self, path: str, modified_ms: int) -> None: ...

    def listdir(self, path: str) -> list[str]:
        """The names of the files and folders in a folder, in no order."""

    def make_dirs(self, path: str, *, sync: bool = False) -> None:
        """Make a folder and those above it, where they are not there; durably with `sync`."""

    def rename(self, source: str, target: str) -> None:
        """Rename a file or folder; an existing target file is replaced."""

    def unlink(self, path: str, *, missing_ok: bool = True) -> None:
        """Remove a file (any thread)."""

    def remove_dir(self, path: str) -> None:
        """Remove an empty folder."""

    def lock(self, path: str) -> FileLock:
        """Hold the file against every other holder. Raises BlockingIOError when there is one."""


class _Descriptor:
    """An open file descriptor, closed with the last reference to it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class _OsFile:
    """A descriptor of its own, open until closed."""

    __slots__ = ("_flags", "_opened", "path")

    def __init__(self, path: str, *, create: bool = True) -> None:
        self.path = path
        self._opened: _Descriptor | None = None
        self._flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC if create else os.O_RDONLY | os.O_CLOEXEC

    def _descriptor(self) -> _Descriptor:
        if self._opened is None:
            self._opened = _Descriptor(os.open(self.path, self._flags, _MODE))
        return self._opened

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        return os.pwritev(self._descriptor().fd, buffers, position)

    def pread(self, size: int, position: int) -> bytes:
        return os.pread(self._descriptor().fd, size, position)

    def slice(self, size: int, position: int) -> Records:
        return FileSlice(self._descriptor(), position, size)

    def truncate(self, size: int) -> None:
        fd = self._descriptor().fd
        # A file that was cut to nothing, even from nothing, is written back by ext4 while it is closed, the
        # first time: for a segment that was created so, hundreds of megabytes in the event loop.
        if os.fstat(fd).st_size != size:
            os.ftruncate(fd, size)

    def size(self) -> int:
        return os.fstat(self._descriptor().fd).st_size

    def sync(self) -> None:
        os.fdatasync(self._descriptor().fd)

    def close(self) -> None:
        self._opened = None


class _PooledFile(_OsFile):
    """A file that has a descriptor only while it is in use or the pool has room."""

    __slots__ = ("_pool", "recently_used")

    def __init__(self, path: str, pool: _DescriptorPool) -> None:
        super().__init__(path)
        self._pool = pool
        self.recently_used = False

    def _descriptor(self) -> _Descriptor:
        opened = self._opened
        if opened is not None:
            self.recently_used = True
            return opened
        self._pool.make_room()
        try:
            opened = super()._descriptor()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._pool.shrink()
            opened = super()._descriptor()
        self._pool.add(self)
        return opened

    def close(self) -> None:
        if self._opened is not None:
            self._pool.discard(self)
            super().close()

    def evict(self) -> None:
        super().close()


class _DescriptorPool:
    """At most `limit` open descriptors; the second-chance rule picks which one to close."""

    __slots__ = ("_limit", "_open")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a pool of {limit} descriptors")
        self._limit = limit
        self._open: OrderedDict[_PooledFile, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, file: _PooledFile) -> None:
        file.recently_used = False  # one use alone does not earn a second chance
        self._open[file] = None

    def discard(self, file: _PooledFile) -> None:
        self._open.pop(file, None)

    def make_room(self) -> None:
        while len(self._open) >= self._limit:
            self._evict_one()

    def shrink(self) -> None:
        """Close half of the descriptors: the process has run out of them."""
        for _ in range((len(self._open) + 1) // 2):
            self._evict_one()

    def _evict_one(self) -> None:
        while True:
            file, _ = self._open.popitem(last=False)
            if not file.recently_used:
                file.evict()
                return
            file.recently_used = False
            self._open[file] = None


class _OsFileLock:
    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            # flock excludes a second broker in this process, lockf is what Kafka's Java lock sees.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BlockingIOError(error.errno, "held by another process", path) from None
            raise

    def release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class OsFileSystem:
    """The real disk. `max_open_files` bounds the descriptors that stay open between uses."""

    def __init__(self, max_open_files: int = 4096) -> None:
        self._pool = _DescriptorPool(max_open_files)

    @property
    def open_files(self) -> int:
        """How many pooled descriptors are open."""
        return len(self._pool)

    def open(self, path: str) -> File:
        return _PooledFile(path, self._pool)

    def open_private(self, path: str, *, create: bool = True) -> File:
        return _OsFile(path, create=create)

    def read_bytes(self, path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            chunks = []
            while chunk := os.read(fd, max(os.fstat(fd).st_size, 4096)):
                chunks.append(chunk)
            return b"".join(chunks)
        finally:
            os.close(fd)

    def write_bytes(self, path: str, data: bytes) -> None:
        self._write(path, data, sync=False)

    def write_aside(self, path: str, data: bytes) -> None:
        self._replace(path, data, sync=False)

    def write_atomic(self, path: str, data: bytes) -> None:
        self._replace(path, data, sync=True)
        self.sync_dir(os.path.dirname(path))

    def _replace(self, path: str, data: bytes, *, sync: bool) -> None:
        temporary = path + TEMPORARY
        try:
            self._write(temporary, data, sync=sync)
            os.replace(temporary, path)
        except OSError:
            self.unlink(temporary)
            raise

    def _write(self, path: str, data: bytes, *, sync: bool) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            if sync:
                os.fdatasync(fd)
        finally:
            os.close(fd)

    def sync_file(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def sync_dir(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_all(self) -> None:
        os.sync()

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def space(self, path: str) -> DiskSpace:
        disk = os.statvfs(path)
        return DiskSpace(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)

    def modified_ms(self, path: str) -> int:
        return os.stat(path).st_mtime_ns // _NS_PER_MS

    def set_modified_ms(self, path: str, modified_ms: int) -> None:
        os.utime(path, ns=(modified_ms * _NS_PER_MS, modified_ms * _NS_PER_MS))

    def listdir(self, path: str) -> list[str]:
        return os.listdir(path)

    def make_dirs(self, path: str, *, sync: bool = False) -> None:
        if not sync or os.path.isdir(path):
            os.makedirs(path, _DIRECTORY_MODE, exist_ok=True)
            return
        path = path.rstrip("/")
        parent = os.path.dirname(path) or "."
        self.make_dirs(parent, sync=True)
        os.mkdir(path, _DIRECTORY_MODE)
        self.sync_dir(parent)

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def unlink(self, path: str, *, missing_ok: bool = True) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_dir(self, path: str) -> None:
        os.rmdir(path)

    def lock(self, path: str) -> FileLock:
        return _OsFileLock(path)
