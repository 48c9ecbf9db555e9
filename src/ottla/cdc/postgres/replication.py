"""The connection that PostgreSQL's log comes by: libpq's COPY in both directions."""

from __future__ import annotations

import logging
import select
import struct
import threading
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from ottla.connect.errors import ConnectError, RetriableError

__all__ = ["Created", "Replication", "Wal", "lsn_text", "parse_lsn"]

_log: Final = logging.getLogger(__name__)
_WAL: Final = struct.Struct(">qqq")
_KEEPALIVE: Final = struct.Struct(">qqB")
_STATUS: Final = struct.Struct(">cqqqqB")
_PG_EPOCH_S: Final = 946_684_800
_FLUSH_TRIES: Final = 30
"""A second each"""
_MOST_BYTES: Final = 8 << 20
"""Of messages at a time, as long as one alone has not more"""


class Wal(NamedTuple):
    lsn: int
    data: bytes


class Created(NamedTuple):
    """A slot: from where on it has all, and the snapshot of what was before, while the connection rests."""

    lsn: int
    snapshot: str


def parse_lsn(text: str) -> int:
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


class Replication:
    """Raises RetriableError where the connection is lost, ConnectError for what the server refuses. `read` is
    one thread's; `flushed` may be told by another.
    """

    def __init__(self, parameters: Mapping[str, str], status_interval_s: float) -> None:
        conninfo = make_conninfo(**parameters, replication="database")
        self._connection = pq.PGconn.connect(conninfo.encode())
        if self._connection.status != pq.ConnStatus.OK:
            text = self._connection.error_message.decode(errors="replace").strip()
            self._connection.finish()
            raise RetriableError(f"no connection for replication: {text}")
        self._status_interval_s = status_interval_s
        self._lock = threading.Lock()
        self._received = 0
        self._flushed = 0
        self._told = 0.0
        self._ended = threading.Event()
        self.server_end = 0
        """How far the server's log is"""

    def create_slot(self, name: str, *, temporary: bool = False) -> Created:
        """Waits for the transactions that are open."""
        kind = " TEMPORARY" if temporary else ""
        result = self._execute(f"CREATE_REPLICATION_SLOT {quoted(name)}{kind} LOGICAL pgoutput")
        lsn, snapshot = result.get_value(0, 1), result.get_value(0, 2)
        assert lsn is not None  # the server names it
        assert snapshot is not None  # and exports one
        return Created(parse_lsn(lsn.decode()), snapshot.decode())

    def drop_slot(self, name: str) -> None:
        self._execute(f"DROP_REPLICATION_SLOT {quoted(name)} WAIT")

    def _execute(self, command: str) -> pq.abc.PGresult:
        result = self._connection.exec_(command.encode())
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.COPY_BOTH):
            raise self._failure(command, result)
        return result

    def _failure(self, command: str, result: pq.abc.PGresult) -> ConnectError:
        text = (result.error_message or self._connection.error_message).decode(errors="replace").strip()
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        # An object in use (55006) is another's slot, or ours of a moment ago; 57xxx is an operator's doing.
        passes = not state or state[:2] in ("08", "53", "57") or state == "55006"
        kind = RetriableError if passes else ConnectError
        return kind(f"{command.split(' (', maxsplit=1)[0]}: {text}")

    def start(self, slot: str, lsn: int, options: Mapping[str, str]) -> None:
        """Have the log from here on, or from where the slot is if that is later."""
        texts = {name: value.replace("'", "''") for name, value in options.items()}
        given = ", ".join(f"{quoted(name)} '{text}'" for name, text in texts.items())
        self._execute(f"START_REPLICATION SLOT {quoted(slot)} LOGICAL {lsn_text(lsn)} ({given})")
        self._received = self._flushed = lsn
        self._connection.nonblocking = 1
        threading.Thread(target=self._tell_regularly, name="ottla-replication", daemon=True).start()

    def read(self, most: int, wait_s: float) -> list[Wal]:
        """What has come, and waits a little where nothing has."""
        found = self._read(most)
        if not found and wait_s > 0:
            ready, _, _ = select.select([self._connection.socket], [], [], wait_s)
            if ready:
                found = self._read(most)
        return found

    def _read(self, most: int) -> list[Wal]:
        found: list[Wal] = []
        size = 0
        with self._lock:
            try:
                self._connection.consume_input()
                while len(found) < most and size < _MOST_BYTES:
                    length, data = self._connection.get_copy_data(1)
                    if length < 0:
                        raise self._ended_by_server()
                    if length > 0:
                        size += length
                        self._take(bytes(data), found)
                    elif select.select([self._connection.socket], [], [], 0)[0]:
                        self._connection.consume_input()  # which takes a few KiB at once
                    else:
                        break
            except psycopg.OperationalError as error:
                raise RetriableError(f"the replication's connection is lost: {error}") from error
        return found

    def _ended_by_server(self) -> ConnectError:
        result = self._connection.get_result()
        if result is not None and result.error_message:
            return self._failure("START_REPLICATION", result)
        return RetriableError("the server ended the replication")

    def _take(self, data: bytes, found: list[Wal]) -> None:
        if data[:1] == b"w":
            lsn, _, _ = _WAL.unpack_from(data, 1)
            self._received = max(self._received, lsn)
            self.server_end = max(self.server_end, lsn)
            found.append(Wal(lsn, data[25:]))
        elif data[:1] == b"k":
            end, _, wants_reply = _KEEPALIVE.unpack_from(data, 1)
            self._received = max(self._received, end)
            self.server_end = max(self.server_end, end)
            if wants_reply:
                self._tell()

    def flushed(self, lsn: int) -> None:
        """All before this is where it is safe: the server may forget it."""
        self._flushed = max(self._flushed, lsn)

    def _tell_regularly(self) -> None:
        """Beside reading, which rests while much is on its way to topics."""
        while not self._ended.wait(self._status_interval_s / 4):
            if time.monotonic() - self._told < self._status_interval_s:
                continue
            with self._lock:
                if self._ended.is_set():
                    return
                try:
                    self._tell()
                except psycopg.OperationalError:
                    return  # `read` finds it

    def _tell(self) -> None:
        """What is flushed."""
        now = int((time.time() - _PG_EPOCH_S) * 1_000_000)
        self._connection.put_copy_data(
            _STATUS.pack(b"r", max(self._received, self._flushed), self._flushed, self._flushed, now, 0)
        )
        for _ in range(_FLUSH_TRIES):
            if not self._connection.flush():
                break
            select.select([], [self._connection.socket], [], 1)
        else:
            raise psycopg.OperationalError("the server takes nothing any more")
        self._told = time.monotonic()

    def close(self) -> None:
        """Says what is flushed before."""
        self._ended.set()
        with self._lock:
            if self._connection.status == pq.ConnStatus.OK and self._connection.transaction_status == 1:
                try:
                    self._tell()
                except psycopg.OperationalError as error:
                    _log.debug("the server was not told what is flushed: %s", error)
            self._connection.finish()
