"""The process that makes a worker's processes: it has imported what all of them need, has one thread, and
forks.

Forked memory is shared until it is written to, so that a task costs little more than what it needs itself.
When the worker is gone, however that came, all of its processes are killed at once: none goes on as a zombie.

It is told `{"spawn": {...}}` with a socket, and answers `{"pid": N}`; `{"exited": PID, "status": N}` comes
when a process has ended, and `{"refused": WHY}` where there can be no more.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import Final, NoReturn

from ottla.connect.worker.frames import Decoder, Message, encode

PRELOADED: Final = (
    "ottla.client.sync.client",
    "ottla.client.producer.producer",
    "ottla.client.consumer.consumer",
    "ottla.connect.converters.json",
    "ottla.connect.process.main",
)
"""What about every task needs"""


def main(control_fd: int) -> int:
    """Serve until the worker closes its end."""
    with contextlib.suppress(AttributeError):
        sys.setswitchinterval(0.005)
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that a collection in a fork touches nothing of it
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the worker, which ends its processes in order
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return _ForkServer(socket.socket(fileno=control_fd)).serve()


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, None] = {}
        self._sockets: list[int] = []
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> int:
        try:
            return self._serve()
        finally:
            self._kill_all()

    def _serve(self) -> int:
        self._control.sendall(encode({"ready": os.getpid()}))
        decoder = Decoder()
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                        self._reap()
                        continue
                    data, fds, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
                    if not data:
                        return 0
                    self._sockets += fds  # they come with a message's first byte
                    for message in decoder.feed(data):
                        self._spawn(message["spawn"], self._sockets.pop(0))

    def _spawn(self, what: Message, fd: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            os.close(fd)
            self._control.sendall(encode({"refused": str(error)}))
            return
        if pid == 0:
            self._become(what, fd)
        os.close(fd)
        self._children[pid] = None
        self._control.sendall(encode({"pid": pid}))

    def _become(self, what: Message, fd: int) -> NoReturn:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for each in (self._control, self._woken, self._waker):
                each.close()
            from ottla.connect.process.main import run

            status = run(what, socket.socket(fileno=fd))
        except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._children.pop(pid, None)
            self._control.sendall(encode({"exited": pid, "status": os.waitstatus_to_exitcode(status)}))

    def _kill_all(self) -> None:
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sys.exit(main(json.loads(sys.argv[1])))
