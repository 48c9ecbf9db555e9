"""What `MODULE:TOPOLOGY` finds, and what it says where it finds nothing."""

from pathlib import Path

import pytest

from ottla.cli.connection import CommandError
from ottla.cli.streams.reset import is_internal
from ottla.cli.streams.target import load_topology

PROGRAM = """\
from ottla.streams import StreamsBuilder, Text

nothing = 7
builder = StreamsBuilder(default_key=Text(), default_value=Text())
builder.stream("in").to("out")


def topology():
    return builder


def untold():
    b = StreamsBuilder()
    b.stream("in").group_by_key().count()
    return b


def wrong():
    return 1 / 0
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)  # taken back after the test, with what is put in front of it
    path = tmp_path / f"program_{tmp_path.name}.py"
    path.write_text(PROGRAM)
    return path


def test_a_builder_is_built_and_a_function_is_called(program: Path) -> None:
    for target in (f"{program}:builder", f"{program}:topology", str(program), f"{program.stem}:topology"):
        assert "Source: KSTREAM-SOURCE-0000000000" in load_topology(target, optimize=False).describe()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{path}:bilder", "has no 'bilder'; it has builder"),
        ("{path}:nothing", "is a int, and neither a Topology nor a StreamsBuilder"),
        ("{path}:wrong", "ZeroDivisionError: division by zero"),
        ("{path}:wrong", "program_"),
        ("{path}:untold", "serde"),
        ("{path}.py:builder", "there is no file"),
        ("no.such.module:builder", "there is no module 'no.such.module'"),
    ],
)
def test_what_is_no_topology_is_said(program: Path, target: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        load_topology(target.format(path=program), optimize=False)


@pytest.mark.parametrize(
    ("content", "said"),
    [("import no_such_library", "No module named 'no_such_library'"), ("def", "SyntaxError")],
)
def test_a_program_that_cannot_be_imported_says_why(program: Path, content: str, said: str) -> None:
    program.write_text(content)
    with pytest.raises(CommandError, match=f"cannot be imported: .*{said}"):
        load_topology(f"{program}:builder", optimize=False)


def test_internal_topics_are_known_by_their_names() -> None:
    for name in ("app-counts-changelog", "app-KSTREAM-KEY-SELECT-0000000002-repartition"):
        assert is_internal(name, "app")
    assert is_internal("app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000006-topic", "app")
    for name in ("app-changelog", "application-counts-changelog", "app-counts", "orders-changelog"):
        assert not is_internal(name, "app")
