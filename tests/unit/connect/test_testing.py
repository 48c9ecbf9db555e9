"""The kit that tries connectors without a broker, on the connectors that come with Ottla."""

from __future__ import annotations

from pathlib import Path

import pytest

from ottla.connect.connectors.files import FileStreamSinkConnector, FileStreamSourceConnector
from ottla.connect.errors import ConnectError
from ottla.connect.testing import SinkKit, SourceKit


def test_source_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_bytes(b"one\ntwo\r\nth")
    kit = SourceKit(FileStreamSourceConnector, {"file": str(file), "topic": "t"})
    assert [(record.topic, record.value) for record in kit.run()] == [("t", "one"), ("t", "two")]
    assert list(kit.offsets.values()) == [{"position": 9}]
    with file.open("ab") as added:
        added.write("ree\nä\n".encode())
    assert [record.value for record in kit.run()] == ["three", "ä"]


def test_batches_have_a_size(tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_text("1\n2\n3\n")
    kit = SourceKit(FileStreamSourceConnector, {"file": str(file), "topic": "t", "batch.size": "2"})
    assert [record.value for record in kit.run()] == ["1", "2"]
    assert [record.value for record in kit.run(polls=2)] == ["3"]


def test_sink_appends_and_tells_its_offsets(tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    with SinkKit(FileStreamSinkConnector, {"file": str(file)}) as kit:
        kit.put("t", ["one", 2, None, {"a": [True]}])
    assert file.read_text() == "one\n2\nnull\n{a=[true]}\n"
    assert kit.committed == {("t", 0): 4}


def test_wrong_configurations_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match='topic: Missing required configuration "topic"'):
        SourceKit(FileStreamSourceConnector, {"file": str(tmp_path / "x")}).run()
    with pytest.raises(ConnectError, match="cannot be read"):
        SourceKit(FileStreamSourceConnector, {"file": str(tmp_path), "topic": "t"}).run()


def test_offsets_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    source = FileStreamSourceConnector()
    config = {"file": "f", "topic": "t"}
    assert source.alter_offsets(config, [({"filename": "f"}, {"position": 3}), ({}, None)])
    for partition, offset in (
        ({"filename": "f"}, {}),
        ({"filename": "f"}, {"position": "3"}),
        ({"filename": "f"}, {"position": -1}),
        ({}, {"position": 3}),
    ):
        with pytest.raises(ConnectError):
            source.alter_offsets(config, [(partition, offset)])
    with pytest.raises(ConnectError, match="stdin"):
        source.alter_offsets({"topic": "t"}, [])
