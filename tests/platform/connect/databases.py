"""Databases for tests: SQLite's file, and servers of PostgreSQL and MariaDB where they are installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ottla.testing.cluster import free_ports

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]


def free_port() -> int:
    """One that no connection is given while a server that is to have it starts."""
    return free_ports(1)[0]


def answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server takes connections."""
    engine = sa.create_engine(url)
    for _ in range(300):
        if server.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text()[-2000:]}")
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            time.sleep(0.1)
        else:
            engine.dispose()
            return
    pytest.fail(f"the server does not answer: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'file.db'}"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    if not POSTGRES:
        pytest.skip("PostgreSQL is not installed")
    # The server refuses to be root's, and another user cannot reach pytest's folders.
    with tempfile.TemporaryDirectory(prefix="ottla-postgresql-") as folder:
        server = Postgres(Path(folder))
        server.start()
        yield server.url
        server.stop()


class Postgres:
    """A server of PostgreSQL with its data in a folder, which the server's user can reach."""

    def __init__(self, folder: Path) -> None:
        self._user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(folder, "postgres")
        self._folder, self._port = folder, free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"jdbc:postgresql://127.0.0.1:{self._port}/postgres?user=postgres"
        initdb = [POSTGRES[0] / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-N"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **self._user)

    def start(self) -> None:
        log = self._folder / "log"
        command = [
            POSTGRES[0] / "postgres", "-D", self._folder / "data", "-p", str(self._port), "-h", "127.0.0.1",
            "-k", "", "-F",
        ]  # fmt: skip
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=self._folder, **self._user
            )
        answers(f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres", self._server, log)

    def stop(self) -> None:
        """At once."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait()
            self._server = None


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        pytest.skip("MariaDB is not installed")
    folder = tmp_path_factory.mktemp("mariadb")
    data, log, port = folder / "data", folder / "log", free_port()
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db",
         "--auth-root-authentication-method=normal"],
        check=True, capture_output=True,
    )  # fmt: skip
    command = [
        "mariadbd", "--no-defaults", f"--datadir={data}", "--user=root", f"--port={port}",
        "--bind-address=127.0.0.1", f"--socket={folder}/s", f"--pid-file={folder}/pid",
        "--innodb-flush-log-at-trx-commit=0",
    ]  # fmt: skip
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            answers(f"mariadb+pymysql://root@127.0.0.1:{port}/mysql", server, log)
            engine = sa.create_engine(f"mariadb+pymysql://root@127.0.0.1:{port}/mysql")
            with engine.begin() as connection:
                connection.execute(sa.text("CREATE DATABASE shop"))
            engine.dispose()
            yield f"jdbc:mariadb://127.0.0.1:{port}/shop?user=root"
        finally:
            server.kill()
