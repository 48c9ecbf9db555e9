from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from ottla.protocol.errors import EncodeError
from ottla.protocol.structs import Struct, array, field
from ottla.protocol.wire import decode, encode


class Point(Struct):
    x: int = field("int32", "0+", default=-1)
    y: int = field("int32", "1+")


class Everything(Struct, key=7, versions="0-3", flexible="2+"):
    flag: bool = field("bool", "0+")
    name: str = field("string", "0+")
    alias: str | None = field("string", "0+", nullable="1+")
    note: str | None = field("string", "0+", nullable="0+", default="none")
    data: bytes = field("bytes", "0+")
    topic_id: UUID | None = field("uuid", "0+")
    numbers: Sequence[int] = array("int32", "0+")
    names: Sequence[str] | None = array("string", "0+", nullable="1+")
    point: Point = field(Point, "1+")
    other: Point | None = field(Point, "2+", nullable="2+")
    points: Sequence[Point] = array(Point, "0+")
    hint: Point = field(Point, "2+", tag=0)
    late: int = field("int64", "3", default=9)


def test_what_is_not_given_has_its_default() -> None:
    message = Everything()
    assert (message.flag, message.name, message.alias, message.note, message.data) == (
        False,
        "",
        None,
        "none",
        b"",
    )
    assert (message.topic_id, message.numbers, message.names, message.other) == (None, (), None, None)
    assert (message.point, message.hint.x, message.late) == (Point(x=-1, y=0), -1, 9)


def test_what_was_never_declared_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Point\(\) got an unexpected keyword argument 'z'"):
        Point(x=1, z=2)  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="z"):
        _ = Point().z  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="z"):
        Point().z = 1  # type: ignore[attr-defined]


def test_equality_is_of_class_and_values() -> None:
    assert Point(x=1) == Point(x=1, y=0) != Point(x=2)
    assert Everything(points=[Point(x=1)]) == Everything(points=(Point(x=1),))
    assert Point() != Everything()
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point())


def test_repr_tells_what_is_not_a_default() -> None:
    assert repr(Point(x=-1, y=2)) == "Point(y=2)"
    assert repr(Everything(points=[Point(y=2)], flag=True)) == "Everything(flag=True, points=[Point(y=2)])"


def test_a_version_has_its_fields() -> None:
    message = Everything(name="n", points=[Point(x=1, y=2)], late=5, hint=Point(x=3))
    oldest = decode(Everything, 0, encode(message, 0))
    assert oldest == Everything(name="n", points=[Point(x=1)], alias="", names=())
    assert decode(Everything, 2, encode(message, 2)) == Everything(
        name="n", points=[Point(x=1, y=2)], hint=Point(x=3)
    )
    assert decode(Everything, 3, encode(message, 3)) == message


def test_null_is_empty_where_the_version_has_no_null() -> None:
    assert decode(Everything, 0, encode(Everything(alias=None, names=None), 0)).names == ()
    assert decode(Everything, 1, encode(Everything(alias=None, names=None), 1)).names is None
    with pytest.raises(EncodeError):
        encode(Everything(name=None), 0)  # type: ignore[arg-type]


def test_versions_that_there_are_not() -> None:
    for version in (-1, 4):
        with pytest.raises(ValueError, match="no version"):
            encode(Everything(), version)


SNIPPET = """
from ottla.protocol.messages.metadata import MetadataRequest, MetadataResponse, MetadataResponseTopic
from ottla.protocol.wire import decode

topic = MetadataResponseTopic(name="t", error_code=3)
MetadataResponse(topics=[topic], throttle_time_ms=0)
for each in decode(MetadataRequest, 9, b"").topics or ():
    reveal_type(each.name)
MetadataResponseTopic(nmae="t")
MetadataResponse(topics=[{"name": "t"}])
MetadataResponse(controller_id=None)
topic.partitons
"""


def test_misspelt_fields_are_type_errors(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    result = subprocess.run(
        [*command, "--cache-dir", tmp_path, snippet],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    told = [line.partition(": ")[2] for line in result.stdout.splitlines()]
    assert told[0] == 'note: Revealed type is "str | None"'
    assert [line.rpartition("[")[2] for line in told[1:]] == [
        "call-arg]",
        "list-item]",
        "arg-type]",
        "attr-defined]",
    ], result.stdout
