"""Virtual environments of programs that others wrote, one for each, since what they need conflicts.

They are in one folder: that of the worker's `ottla.connect.environments.dir`, which reaches its processes
as the variable OTTLA_CONNECT_ENVIRONMENTS. `ROOT/NAME/` is an environment, complete when `ottla.json` is
in it. What a configuration names is an entry of the catalogue, or was installed here by who runs the
worker: nothing else runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import Final, NamedTuple

from ottla.connect.connectors.others.catalogue import Entry, Kind, entry_of
from ottla.connect.errors import ConfigError, ConnectError

__all__ = ["FOLDER", "INSTALLS", "Environment", "Environments", "own_variables"]

FOLDER: Final = "OTTLA_CONNECT_ENVIRONMENTS"
INSTALLS: Final = "OTTLA_CONNECT_ENVIRONMENTS_INSTALL"
"""`false`: nothing is installed because a connector needs it"""
_TIMEOUT_S: Final = 900
_MARK: Final = "ottla.json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TOLD_LINES: Final = 15
_WITH: Final = "setuptools<81"
"""Older programs need its pkg_resources, without saying so"""
_PASSED: Final = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|(http|https|no|all)_proxy",
    re.IGNORECASE,
)

_log: Final = logging.getLogger(__name__)


def own_variables(given: Mapping[str, str]) -> dict[str, str]:
    """What programs of others see of the worker's variables: nothing that may be a secret."""
    return {name: value for name, value in given.items() if _PASSED.fullmatch(name)}


def _installers_variables(given: Mapping[str, str]) -> dict[str, str]:
    """Also where packages are had: what is installed may run code of its own before it is there."""
    own = {name: value for name, value in given.items() if name.startswith(("PIP_", "UV_"))}
    return own_variables(given) | own


class Environment(NamedTuple):
    """`runs` is the name of a script in `bin`, or a place in Python (`module:name`)."""

    folder: Path
    kind: Kind
    requirement: str
    runs: str

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def executable(self) -> Path:
        return self.folder / "bin" / self.runs


class Environments:
    def __init__(self, root: Path | None = None) -> None:
        """Without `root` the folder that the variable names, or `~/.local/share/ottla/connect`."""
        named = os.environ.get(FOLDER) or Path.home() / ".local/share/ottla/connect"
        self.root: Final = (Path(named) if root is None else root).absolute()

    def find(self, name: str) -> Environment | None:
        """One that is complete. ConnectError for a name that can be none."""
        if _NAME.fullmatch(name) is None:
            raise ConnectError(f"{name!r} is no name of an environment")
        folder = self.root / name
        try:
            mark = json.loads((folder / _MARK).read_text("utf-8"))
            return Environment(folder, Kind(mark["kind"]), str(mark["requirement"]), str(mark["runs"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConnectError(f"{folder / _MARK} cannot be read: {error}") from error

    def known(self, name: str, kind: Kind) -> Entry | Environment:
        """What has been installed under this name, or the catalogue's entry. ConfigError without."""
        try:
            there = self.find(name)
        except ConnectError as error:
            raise ConfigError(str(error)) from error
        found = entry_of(name, kind) if there is None else there
        if found is None or found.kind is not kind:
            raise ConfigError(
                f"there is no {kind.value} {name}: `ottla connect catalog` lists those that can be "
                "installed, and `ottla connect install` installs others"
            )
        return found

    def need(self, name: str, kind: Kind) -> Environment:
        """Made if it is not there. ConnectError, or ConfigError for what is unknown."""
        known = self.known(name, kind)
        if isinstance(known, Environment):
            return known
        if os.environ.get(INSTALLS) == "false":
            raise ConnectError(
                f"{name} is not installed, and this worker installs nothing by itself: "
                f"`ottla connect install {name}` does"
            )
        return self.install(known)

    def install(self, entry: Entry) -> Environment:
        """Make it, or make it anew where it has another version. ConnectError with the installer's last
        words.
        """
        self.find(entry.name)  # the name
        folder = self.root / entry.name
        with self._locked(entry.name):
            found = self.find(entry.name)
            if found is not None and found.requirement == entry.requirement:
                return found
            self._remove(folder)
            _log.info("%s is being installed into %s", entry.requirement, folder)
            try:
                for command in _commands(folder, entry.requirement):
                    _run(command, entry.requirement)
                runs = entry.runs or _program(folder, entry)
                mark = {"kind": entry.kind.value, "requirement": entry.requirement, "runs": runs}
                (folder / _MARK).write_text(json.dumps(mark), "utf-8")
            except BaseException:
                self._remove(folder)
                raise
            return Environment(folder, entry.kind, entry.requirement, runs)

    def remove(self, name: str) -> None:
        with self._locked(name):
            self._remove(self.root / name)

    def _remove(self, folder: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            (folder / _MARK).unlink()
        shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Against other processes of this machine that install the same."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / f".{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConnectError(f"the folder of environments cannot be written: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _commands(folder: Path, requirement: str) -> list[list[str]]:
    """uv where there is one, which is faster by far; pip otherwise."""
    python = str(folder / "bin" / "python")
    beside = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if uv is not None:
        return [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", python, requirement, _WITH],
        ]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement, _WITH]
    return [[sys.executable, "-m", "venv", str(folder)], pip]


def _run(command: list[str], requirement: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the installer, with a requirement of the catalogue
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_installers_variables(os.environ),
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConnectError(f"{requirement} cannot be installed: {error}") from error
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()[-_TOLD_LINES:]
        raise ConnectError(f"{requirement} cannot be installed: " + "\n".join(lines))


def _program(folder: Path, entry: Entry) -> str:
    """The script that the package brings: its only one, or the one that is called as a tap or target is."""
    package = re.split(r"[\[=<>!~ ]", entry.requirement)[0]
    wanted = re.sub(r"[-_.]+", "_", package).lower()
    scripts: list[str] = []
    for place in folder.glob("lib/python*/site-packages/*.dist-info/entry_points.txt"):
        if re.sub(r"[-_.]+", "_", place.parent.name.partition("-")[0]).lower() == wanted:
            parser = ConfigParser(delimiters=("=",), interpolation=None)
            parser.optionxform = str  # type: ignore[assignment,method-assign]  # names as they are
            with contextlib.suppress(ConfigParserError):
                parser.read_string(place.read_text("utf-8"))
                scripts += parser.options("console_scripts")
    kind = entry.kind.value
    fitting = [each for each in scripts if each == entry.name] or [
        each for each in scripts if kind in re.split(r"[-_]", each)
    ]
    found = (fitting or scripts)[:1]
    if not found:
        raise ConnectError(f"{entry.requirement} brings no program")
    return found[0]
