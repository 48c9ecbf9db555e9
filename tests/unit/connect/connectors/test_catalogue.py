"""The catalogue, and the commands that show and install what is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ottla.cli.connect import connect
from ottla.connect.connectors.others import environments
from ottla.connect.connectors.others.catalogue import Entry, Kind, State, entries, entry_of, parse, render
from ottla.connect.connectors.others.environments import FOLDER, INSTALLS, Environments
from ottla.connect.errors import ConfigError, ConnectError
from ottla.connect.plugins import CONNECTORS, Plugins

ENTRY = Entry("tap-x", Kind.TAP, "tap-x==1.0", "", State.COMMUNITY, "", "", "X")
BROUGHT = "[console_scripts]\nhelp-x = x:h\ntap-x = x:main\n"


def test_every_entry_says_what_it_is_and_how_far_it_was_seen() -> None:
    listed = entries()
    assert len({each.name for each in listed}) == len(listed)
    for each in listed:
        assert each.system, each
        if each.kind is not Kind.OWN:
            assert each.version, each
            assert environments._NAME.fullmatch(each.name), each
        if each.state is State.VERIFIED or (each.state is State.CORE and each.kind is not Kind.OWN):
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", each.checked), each
            assert each.found.split(":")[0] in ("about", "discover", "help", "describe"), each
        if each.kind is Kind.OWN:
            assert Plugins().find(each.runs, *CONNECTORS) is not None, each


def test_more_than_120_systems_were_seen_to_install_and_to_say_what_they_have() -> None:
    seen = [each for each in entries() if each.checked and not each.found.startswith("failed")]
    assert len(seen) > 120
    assert all(each.state is not State.COMMUNITY for each in seen)


def test_the_file_is_as_it_is_written() -> None:
    listed = entries()
    assert parse(render(reversed(listed))) == listed


def test_the_command_lists_and_searches() -> None:
    found = CliRunner().invoke(connect, ["catalog", "--json", "--kind", "target", "JSON Lines"])
    assert found.exit_code == 0
    assert "target-jsonl" in [each["name"] for each in json.loads(found.stdout)]
    assert {each["kind"] for each in json.loads(found.stdout)} == {"target"}
    table = CliRunner().invoke(connect, ["catalog", "tap-jsonl"])
    assert table.stdout.startswith("NAME")
    assert "tap-jsonl" in table.stdout


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for uv: makes what a package with two programs brings, or fails where its name says so."""
    folder = tmp_path / "bin"
    folder.mkdir()
    uv = folder / "uv"
    uv.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/called
env > {tmp_path}/variables
if [ "$1" = venv ]; then for last in "$@"; do :; done; mkdir -p "$last/bin"; exit 0; fi
case "$*" in *broken*) echo "no such version" >&2; exit 1;; esac
place="$(dirname "$(dirname "$5")")/lib/python3/site-packages/tap_x-1.0.dist-info"
mkdir -p "$place"
printf '%s' '{BROUGHT}' > "$place/entry_points.txt"
"""
    )
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv(FOLDER, str(tmp_path / "environments"))
    return tmp_path / "called"


def test_an_environment_is_made_once_and_anew_for_another_version(installer: Path) -> None:
    made = Environments().install(ENTRY)
    assert (made.runs, made.kind, made.executable.parent.name) == ("tap-x", Kind.TAP, "bin")
    assert Environments().install(ENTRY) == made
    assert Environments().need("tap-x", Kind.TAP) == made
    assert len(installer.read_text().splitlines()) == 2
    Environments().install(ENTRY._replace(requirement="tap-x==2.0"))
    assert len(installer.read_text().splitlines()) == 4
    with pytest.raises(ConfigError, match="there is no target tap-x"):
        Environments().need("tap-x", Kind.TARGET)
    Environments().remove("tap-x")
    assert Environments().find("tap-x") is None


def test_what_is_installed_sees_no_secret_of_the_worker(
    installer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    monkeypatch.setenv("UV_OFFLINE", "1")
    Environments().install(ENTRY)
    variables = installer.with_name("variables").read_text().splitlines()
    assert "UV_OFFLINE=1" in variables
    assert "DATABASE_PASSWORD=secret" not in variables


def test_what_cannot_be_installed_leaves_nothing_and_says_why(installer: Path) -> None:
    with pytest.raises(ConnectError, match="tap-x==broken cannot be installed: no such version"):
        Environments().install(ENTRY._replace(requirement="tap-x==broken"))
    assert not (Environments().root / "tap-x").exists()
    with pytest.raises(ConnectError, match="brings no program"):
        Environments().install(ENTRY._replace(name="y", requirement="y==1"))


def test_a_worker_may_be_told_to_install_nothing(installer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INSTALLS, "false")
    entry = entry_of("tap-jsonl", Kind.TAP)
    assert entry is not None
    with pytest.raises(
        ConnectError, match="installs nothing by itself: `ottla connect install tap-jsonl` does"
    ):
        Environments().need("tap-jsonl", Kind.TAP)
    assert not installer.exists()


def test_the_command_installs(installer: Path, tmp_path: Path) -> None:
    own = CliRunner().invoke(connect, ["install", "mine", "--package", "tap-x==3", "--kind", "tap"])
    assert own.exit_code == 0, own.output
    assert f"installed tap-x==3 in {tmp_path / 'environments' / 'mine'}" in own.stdout
    assert Environments().need("mine", Kind.TAP).requirement == "tap-x==3"
    for arguments, error in (
        (["tap-nobody"], "the catalog has no tap-nobody"),
        (["x", "--package", "x==1"], "belong together"),
        (["file-source"], "Ottla's own"),
        (["../x", "--package", "x==1", "--kind", "tap"], "no name of an environment"),
        (["x", "--package", "broken", "--kind", "tap"], "no such version"),
    ):
        refused = CliRunner().invoke(connect, ["install", *arguments])
        assert refused.exit_code != 0
        assert error in refused.output
