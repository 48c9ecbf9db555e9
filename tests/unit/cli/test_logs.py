import json
import struct

import pytest

from ottla.cli.main import run
from ottla.records.codec import Record, encode_batch
from ottla.records.compression import Codec


@pytest.fixture
def segment(tmp_path):
    path = tmp_path / "00000000000000000000.log"
    records = [
        Record(0, 1_600_000_000_000, b"k", b"v", (("h", b"x"), ("n", None))),
        Record(1, 1_600_000_000_001, None, b"two\nlines", ()),
    ]
    path.write_bytes(
        encode_batch(records, codec=Codec.gzip)
        + encode_batch([Record(2, 5, None, b"\xff", ())], base_offset=2)
    )
    return path


def test_a_segment_for_people(segment, capsys):
    assert run(["log", "dump", str(segment), "--records"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "base_offset=0  last_offset=1  count=2" in lines[0]
    assert "codec=gzip" in lines[0]
    assert lines[1] == "  0  2020-09-13T12:26:40.000Z  key=k  value=v  headers=h=x,n=null"
    assert lines[2] == r"  1  2020-09-13T12:26:40.001Z  key=null  value=two\nlines"
    assert r"value=\udcff" in lines[4]


def test_a_segment_for_scripts(segment, capsys):
    assert run(["log", "dump", str(segment), "--records", "--json", "--base64"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["kind"], first["codec"], first["crc"], first["producer_id"]) == (
        "batch",
        "gzip",
        "valid",
        -1,
    )
    assert first["records"][0] == {
        "offset": 0,
        "timestamp": 1_600_000_000_000,
        "key": "aw==",
        "value": "dg==",
        "headers": [["h", "eA=="], ["n", None]],
    }
    assert second["position"] == first["size"]


def test_damage_is_told_and_ends_with_1(segment, capsys):
    data = bytearray(segment.read_bytes())
    data[70] ^= 1
    segment.write_bytes(data + b"torn")
    assert run(["log", "dump", str(segment)]) == 1
    captured = capsys.readouterr()
    assert "crc=wrong" in captured.out.splitlines()[0]
    assert captured.out.splitlines()[-1].startswith("stopped  ")
    assert captured.err == f"ottla: damaged: {segment}\n"


def test_an_index(tmp_path, capsys):
    path = tmp_path / "00000000000000000100.index"
    path.write_bytes(struct.pack(">iiii", 5, 4096, 9, 8192))
    assert run(["log", "dump", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "index  offset=105  position=4096",
        "index  offset=109  position=8192",
    ]


def test_a_file_of_another_kind(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    assert run(["log", "dump", str(path)]) == 1
    assert "neither a segment" in capsys.readouterr().err


def test_base64_is_for_json(segment, capsys):
    assert run(["log", "dump", str(segment), "--base64"]) == 2
    assert "--json" in capsys.readouterr().err
