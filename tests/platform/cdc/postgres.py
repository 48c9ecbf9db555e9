"""A server of PostgreSQL that decodes its log, for tests: killed and started again where they want that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ottla.testing.cluster import free_ports

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
USER = "postgres"


class PostgresServer:
    """Needs `close`."""

    def __init__(self) -> None:
        if not BINARIES:
            pytest.skip("PostgreSQL is not installed")
        # The server refuses to be root's, and another user cannot reach pytest's folders.
        self._folder = Path(tempfile.mkdtemp(prefix="ottla-cdc-"))
        self._user: dict[str, Any] = {"user": USER, "group": USER} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(self._folder, USER)
        [self.port] = free_ports(1)
        self._data, self._log = self._folder / "data", self._folder / "log"
        subprocess.run(
            [BINARIES[0] / "initdb", "-D", self._data, "-U", USER, "-A", "trust", "-N", "-E", "UTF8",
             "--locale=C", "--wal-segsize=1"],
            check=True, capture_output=True, cwd=self._folder, **self._user,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        settings = (
            "wal_level=logical", "max_wal_senders=60", "max_replication_slots=60", "shared_buffers=8MB",
            "fsync=off", "max_wal_size=32MB", "min_wal_size=2MB",
        )  # fmt: skip
        command = [
            BINARIES[0] / "postgres", "-D", self._data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
            *(part for each in settings for part in ("-c", each)),
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._user)
        for _ in range(900):
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"the server does not answer: {self._log.read_text()[-2000:]}")

    def connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host="127.0.0.1", port=self.port, user=USER, dbname=database, autocommit=True)

    def execute(self, database: str, statements: Iterable[str]) -> None:
        """Each in a transaction of its own."""
        with self.connect(database) as connection:
            for each in statements:
                connection.execute(each.encode())

    def create(self, database: str) -> None:
        self.execute("postgres", [f'CREATE DATABASE "{database}"'])

    def drop(self, database: str) -> None:
        """With its slots."""
        with self.connect("postgres") as connection:
            rows = connection.execute(
                "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s", [database]
            ).fetchall()
            for slot, pid in rows:
                if pid is not None:
                    connection.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])
                connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
            connection.execute(f'DROP DATABASE "{database}" WITH (FORCE)'.encode())

    def kill(self) -> None:
        """At once: what it had in memory is lost, and its children end."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
