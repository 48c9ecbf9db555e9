"""Install what the catalogue lists, ask it what it has, and write down what was found, with version and date.

    python -m tests.platform.connect.catalogue_check [--jobs 2] [--kind tap] [--again] [NAME]...

Without names: all that nothing was found of yet. Each gets a virtual environment of its own, which is
removed afterwards; what is asked runs without a network (`unshare`) and without this process's variables.
An entry is verified when it has said what it can: `--about` of Singer's SDK, a catalog by `--discover`
(with made-up values for the settings that it asks for), or else the options of `--help`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ottla.connect.connectors.others import catalogue
from ottla.connect.connectors.others.catalogue import Entry, Kind, State
from ottla.connect.connectors.others.environments import Environment, Environments, own_variables
from ottla.connect.errors import ConnectError

CATALOGUE = Path(catalogue.__file__).with_name("catalogue.tsv")
TIMEOUT_S = 400
MAX_OUTPUT = 32 << 20
OFFLINE = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
DLT = {Kind.SOURCE: "source", Kind.DESTINATION: "destination"}


class Found(NamedTuple):
    state: State
    said: str


class Ran(NamedTuple):
    code: int
    out: str
    error: str

    @property
    def reason(self) -> str:
        return f"failed: {reason(self.error or self.out)}" if self.code >= 0 else "failed: it took too long"


def reason(text: str) -> str:
    """The last line that says something, without places of this machine."""
    if "does not satisfy Python" in text:
        return "this version wants another Python"
    if "Failed to build" in text or "--no-build-isolation" in text:
        return "it cannot be built"
    lines = [line for each in text.splitlines() if len(line := each.strip(" ^~")) > 3]
    return re.sub(r"[ (]+/\S+", "", lines[-1])[:100] if lines else "it says nothing"


def run(command: Sequence[object], folder: Path) -> Ran:
    with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as error:
        process = subprocess.Popen(
            [*OFFLINE, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            cwd=folder,
            env={**own_variables(os.environ), "HOME": str(folder)},
            start_new_session=True,
        )
        try:
            code = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        texts = []
        for file in (out, error):
            file.seek(0)
            texts.append(file.read(MAX_OUTPUT).decode("utf-8", "replace"))
        return Ran(code, texts[0], texts[1])


def json_object(text: str) -> Mapping[str, object] | None:
    """The object that is printed, perhaps behind lines of a log."""
    start = text.find("{")
    with contextlib.suppress(ValueError):
        found = json.loads(text[start:]) if start >= 0 else None
        return found if isinstance(found, dict) else None
    return None


def look_at_singer(environment: Environment, kind: Kind, folder: Path) -> Found:
    about = run([environment.executable, "--about", "--format=json"], folder)
    told = json_object(about.out)
    if about.code == 0 and told is not None and "capabilities" in told:
        settings = told.get("settings")
        names = settings.get("properties") if isinstance(settings, dict) else None
        count = len(names) if isinstance(names, dict) else 0
        return Found(State.VERIFIED, f"about: {count} settings")
    usage = run([environment.executable, "--help"], folder)
    text = usage.out + usage.error
    if kind is Kind.TAP and (streams := discovered(environment, folder)) is not None:
        return Found(State.VERIFIED, f"discover: {streams} streams")
    if usage.code == 0 and "--config" in text and (kind is Kind.TARGET or "--discover" in text):
        options = dict.fromkeys(re.findall(r"--[a-z][a-z-]+", text))
        return Found(State.VERIFIED, f"help: {len(options)} options")
    return Found(State.COMMUNITY, usage.reason if usage.code else "failed: it has none of Singer's options")


def discovered(environment: Environment, folder: Path) -> int | None:
    """How many streams it has; None where it needs the other system for that."""
    config: dict[str, str] = {}
    file = folder / "config.json"
    for _ in range(3):
        file.write_text(json.dumps(config))
        ran = run([environment.executable, "--config", file, "--discover"], folder)
        told = json_object(ran.out)
        if ran.code == 0 and told is not None and isinstance(told.get("streams"), list):
            return len(told["streams"]) or None  # type: ignore[arg-type]
        missing = re.search(r"required keys: \[(.*?)\]", ran.error + ran.out)
        if missing is None or set(config) >= set(re.findall(r"'([^']+)'", missing[1])):
            return None
        config |= {name: made_up(name) for name in re.findall(r"'([^']+)'", missing[1])}
    return None


def made_up(name: str) -> str:
    return "2026-01-01T00:00:00Z" if "date" in name or "time" in name else "1"


def look_at_dlt(environment: Environment, entry: Entry, folder: Path) -> Found:
    from ottla.connect.connectors.others import dlt_runner

    ran = run([environment.python, dlt_runner.__file__, "describe", DLT[entry.kind], entry.runs], folder)
    told = json_object(ran.out)
    if told is None or "said" not in told:
        return Found(State.COMMUNITY, ran.reason)
    return Found(State.VERIFIED, f"describe: {told['said']}")


def check(entry: Entry, environments: Environments) -> Entry:
    """The entry with what was found today."""
    try:
        environment = environments.install(entry)
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            if entry.kind in DLT:
                found = look_at_dlt(environment, entry, folder)
            else:
                found = look_at_singer(environment, entry.kind, folder)
    except ConnectError as error:
        found = Found(State.COMMUNITY, f"failed: {reason(str(error))}")
    state = State.CORE if entry.state is State.CORE and found.state is State.VERIFIED else found.state
    said = found.said.replace("\t", " ")
    return entry._replace(state=state, found=said, checked=dt.datetime.now(dt.UTC).date().isoformat())


class Record:
    """The file, written anew with each entry that was looked at."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def put(self, entry: Entry) -> None:
        with self._lock:
            listed = [
                entry if (each.name, each.kind) == (entry.name, entry.kind) else each
                for each in catalogue.parse(self._file.read_text())
            ]
            draft = self._file.with_suffix(".new")
            draft.write_text(catalogue.render(listed))
            draft.replace(self._file)
            print(f"{entry.state.value:10} {entry.name:40} {entry.found}", flush=True)


def wanted(arguments: argparse.Namespace, file: Path) -> Iterator[Entry]:
    for entry in catalogue.parse(file.read_text()):
        if entry.kind is Kind.OWN or (arguments.kind and entry.kind.value != arguments.kind):
            continue
        if entry.name in arguments.names or (not arguments.names and (arguments.again or not entry.checked)):
            yield entry


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kind", choices=[each.value for each in Kind if each is not Kind.OWN])
    parser.add_argument("--again", action="store_true", help="also what was looked at before")
    parser.add_argument("--file", type=Path, default=CATALOGUE)
    arguments = parser.parse_args()
    os.nice(15)
    record = Record(arguments.file)
    with (
        tempfile.TemporaryDirectory(prefix="ottla-catalogue-") as root,
        ThreadPoolExecutor(arguments.jobs) as pool,
    ):
        environments = Environments(Path(root))

        def one(entry: Entry) -> None:
            record.put(check(entry, environments))
            environments.remove(entry.name)

        list(pool.map(one, wanted(arguments, arguments.file)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
