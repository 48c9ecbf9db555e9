"""Programs of others as processes of a task's own: they write lines, and may be written to.

No thread is needed: whoever waits for lines, or for a line to be taken, takes what the program says
meanwhile. A program that is not listened to waits by itself, at the end of its pipe. It ends with the
task, however that ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from ottla.connect.errors import ConnectError

__all__ = ["PrivateFolder", "Program", "output_of"]

_READ: Final = 1 << 18
_MAX_LINE: Final = 64 << 20
_MAX_OUTPUT: Final = 64 << 20
_MAX_LOG_LINE: Final = 1 << 16
_TOLD_LINES: Final = 15
_END_S: Final = 3.0
_PREFIX: Final = "ottla-connect-"

# What runs before the program, in its process: it is killed when the task is gone, which cannot tell it so.
_LAUNCH: Final = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""

_log: Final = logging.getLogger(__name__)


class PrivateFolder:
    """Files that nobody else may read, such as configurations with secrets; they go with the task.

    Those of a task that was killed are removed by the next that is started on this machine.
    """

    def __init__(self) -> None:
        """ConnectError where there can be none."""
        try:
            _sweep(Path(tempfile.gettempdir()))
            self.path: Final = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        except OSError as error:
            raise ConnectError(f"there can be no folder for a program's configuration: {error}") from error

    def write(self, name: str, content: bytes) -> Path:
        path = self.path / name
        try:
            file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(file, "wb") as stream:
                stream.write(content)
        except OSError as error:
            raise ConnectError(f"{path} cannot be written: {error}") from error
        return path

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*-*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(FileNotFoundError):  # another task sweeps as well
            is_ours = owner.isdigit() and left.stat().st_uid == os.getuid()
            if is_ours and not _lives(int(owner)):
                shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Program:
    """Started when it is made. `name` is how it is called in errors and in the log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        folder: Path,
        *,
        timeout_s: float,
        takes_input: bool = False,
    ) -> None:
        """`timeout_s` is how long it may be waited for while it says and takes nothing. ConnectError."""
        self.name: Final = name
        self._timeout_s = timeout_s
        self._silent_s = 0.0
        self._pending = bytearray()
        self._said = bytearray()
        self._last_said: deque[str] = deque(maxlen=_TOLD_LINES)
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid())]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - of an environment of the worker's
                [*(launch if sys.platform == "linux" else []), *command],
                stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=folder,
                env=variables,
                start_new_session=True,
            )
        except OSError as error:
            raise ConnectError(f"{name} cannot be started: {error}") from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out: IO[bytes] = self._process.stdout
        self._error: IO[bytes] = self._process.stderr
        self._selector = selectors.DefaultSelector()
        for stream in (self._out, self._error):
            self._selector.register(stream, selectors.EVENT_READ)
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def is_over(self) -> bool:
        """It has said all that it will say, and every line of it was taken."""
        return not self._selector.get_map() and not self._pending

    def lines(self, wait_s: float) -> list[bytes]:
        """Lines that are there, without their ends; some are waited for a while. ConnectError if it hangs."""
        if not self._selector.get_map():
            return self._taken(is_all=True)
        self._turn(wait_s)
        return self._taken(is_all=not self._selector.get_map())

    def _taken(self, *, is_all: bool) -> list[bytes]:
        end = len(self._pending) if is_all else self._pending.rfind(b"\n") + 1
        taken = bytes(self._pending[:end])
        del self._pending[:end]
        return [line for line in taken.split(b"\n") if line.strip()]

    def _turn(self, wait_s: float) -> bool:
        """Take what comes, or wait for it or for its taking something. Whether it can take something."""
        begun = time.monotonic()
        ready = self._selector.select(wait_s)
        if not ready:
            self._silent_s += time.monotonic() - begun
            if self._silent_s >= self._timeout_s:
                self.kill()
                raise ConnectError(
                    self._told(f"{self.name} did nothing for {self._timeout_s:g} s and was killed")
                )
            return False
        self._silent_s = 0.0
        takes = False
        for key, _ in ready:
            if key.fileobj is self._out:
                self._receive()
            elif key.fileobj is self._error:
                self._hear()
            else:
                takes = True
        return takes

    def _receive(self) -> None:
        data = os.read(self._out.fileno(), _READ)
        self._pending += data
        if len(self._pending) > _MAX_LINE + _READ:
            self.kill()
            raise ConnectError(f"{self.name} wrote a line of more than {_MAX_LINE} bytes")
        if not data:
            self._selector.unregister(self._out)

    def _hear(self) -> None:
        """What it says to people is logged."""
        data = os.read(self._error.fileno(), _READ)
        self._said += data
        if not data:
            self._selector.unregister(self._error)
        *whole, rest = self._said.split(b"\n")
        if not data or len(rest) > _MAX_LOG_LINE:
            whole, rest = [*whole, rest[:_MAX_LOG_LINE]], bytearray()
        self._said = rest
        for line in whole:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._last_said.append(text)
                _log.info("%s: %s", self.name, text)

    def write(self, data: bytes) -> bool:
        """Give it all of that; False where it has closed its input. ConnectError where it takes nothing."""
        stdin = self._process.stdin
        assert stdin is not None
        self._silent_s = 0.0
        left = memoryview(data)
        self._selector.register(stdin, selectors.EVENT_WRITE)
        try:
            while left:
                if self._turn(1.0):
                    left = left[os.write(stdin.fileno(), left[:_READ]) :]
        except BrokenPipeError:
            return False
        finally:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(stdin)
        return True

    def end_input(self) -> None:
        """At which it ends."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def check(self) -> None:
        """ConnectError if it has failed, with the last that it said. It has closed its output before."""
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ConnectError(self._told(f"{self.name} closed its output, and did not end")) from None
        if code != 0:
            how = f"with exit code {code}" if code > 0 else f"by {signal.Signals(-code).name}"
            raise ConnectError(self._told(f"{self.name} ended {how}"))

    def _told(self, what: str) -> str:
        return "\n".join([f"{what}; the last that it said:", *self._last_said] if self._last_said else [what])

    def kill(self) -> None:
        """It, and what it has started. Harmless when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._out.close()
        self._error.close()
        self._selector.close()


def output_of(program: Program) -> bytes:
    """All that a program writes that soon ends. ConnectError where it fails, or writes too much."""
    lines: list[bytes] = []
    size = 0
    try:
        while not program.is_over:
            more = program.lines(1.0)
            lines += more
            size += sum(map(len, more))
            if size > _MAX_OUTPUT:
                raise ConnectError(f"{program.name} wrote more than {_MAX_OUTPUT} bytes")
        program.check()
    finally:
        program.kill()
    return b"\n".join(lines)
