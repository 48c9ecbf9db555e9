"""`ottla connect`: the package that it begins, and what it says of what it cannot understand."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from ottla.cli.connect import connect


def test_new_package_passes_its_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = CliRunner().invoke(connect, ["new", "my-begun-system", "--into", str(tmp_path)])
    assert made.exit_code == 0, made.output
    monkeypatch.syspath_prepend(str(tmp_path / "my-begun-system"))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    tests = importlib.import_module("test_my_begun_system")
    tests.test_source_goes_on_where_it_was()
    tests.test_sink_prints(capsys)
    again = CliRunner().invoke(connect, ["new", "my-begun-system", "--into", str(tmp_path)])
    assert (again.exit_code, "is there already" in again.output) == (2, True)
    assert CliRunner().invoke(connect, ["new", "no name", "--into", str(tmp_path)]).exit_code == 2


def test_new_package_is_installed_and_found(tmp_path: Path) -> None:
    """Beside all that is installed here, without asking anybody for more."""
    made = CliRunner().invoke(connect, ["new", "my-other-system", "--into", str(tmp_path)])
    assert made.exit_code == 0, made.output
    project, site = tmp_path / "my-other-system", tmp_path / "site"
    offline = ["--no-build-isolation", "--no-deps", "--offline", "--quiet", "--python", sys.executable]
    command = [sys.executable, "-m", "uv", "pip", "install", *offline, "--target", str(site), str(project)]
    installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert installed.returncode == 0, installed.stderr
    tests = (project / "test_my_other_system.py").read_text()
    (tmp_path / "test_installed.py").write_text(tests)
    look = (
        "from ottla.connect.plugins import Kind, Plugins\n"
        "for end, kind in (('Source', Kind.SOURCE), ('Sink', Kind.SINK)):\n"
        "    name = f'my_other_system.MyOtherSystem{end}'\n"
        "    print(Plugins().load(name, kind)().version(), kind.value)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for command, said in (
        (["-c", look], "0.1.0 source\n0.1.0 sink\n"),
        (["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_installed.py"], "2 passed"),
    ):
        ended = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=False, timeout=100,
            env=environment, cwd=tmp_path,
        )  # fmt: skip
        assert said in ended.stdout, ended.stdout + ended.stderr


@pytest.fixture
def strange() -> Iterator[str]:
    """The URL of a server that is no worker."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(502)
            self.end_headers()
            self.wfile.write(b"<html>")

        def do_PUT(self) -> None:
            self.wfile.write(b"rubbish\r\n\r\n")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_answers_that_are_no_workers(strange: str) -> None:
    for arguments in (["list"], ["pause", "c"]):
        told = CliRunner().invoke(connect, [*arguments, "--url", strange])
        assert (told.exit_code, told.output[:6]) == (1, "Error:"), told.exception
    for url in ("http://127.0.0.1:port", "http://[::1"):
        told = CliRunner().invoke(connect, ["list", "--url", url])
        assert (told.exit_code, told.output[:5]) == (2, "Usage"), told.exception


def test_files_that_make_no_sense(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b"\xff\xfe", b"[1, 2]", b'{"config": {}}'):
        file.write_bytes(content)
        for arguments in (["create", str(file)], ["validate", str(file)]):
            told = CliRunner().invoke(connect, arguments)
            assert (told.exit_code, told.output[:5]) == (2, "Usage"), told.exception
    file.write_bytes(b"{")
    told = CliRunner().invoke(connect, ["offsets", "c", "--alter", str(file)])
    assert (told.exit_code, told.output[:5]) == (2, "Usage"), told.exception
