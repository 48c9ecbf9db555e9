import io
import json
import sys

from ottla.cli.output import cell, show_json, show_table


def test_a_piped_table_has_aligned_columns(capsys):
    show_table(["topic", "new offset"], [{"topic": "longer", "new_offset": 1}, {"topic": "t"}])
    assert capsys.readouterr().out == "TOPIC   NEW OFFSET\nlonger  1\nt       -\n"


def test_a_table_without_rows_has_headings(capsys):
    show_table(["a", "b"], [])
    assert capsys.readouterr().out == "A  B\n"


def test_cells():
    assert [cell(value) for value in (None, "", 0, True, False, [1, 2], [])] == [
        "-",
        "-",
        "0",
        "yes",
        "no",
        "1,2",
        "-",
    ]


def test_piped_json_is_one_line(capsys):
    show_json([{"a": "é"}, None])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == [{"a": "é"}, None]


def test_what_others_named_breaks_no_line():
    assert cell("a\nb\x1b[2J é") == r"a\nb\x1b[2J é"
    assert cell(["a\r", "b"]) == r"a\r,b"


def test_json_in_a_locale_without_the_characters(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    show_json(["é\u4e16"])
    assert json.loads(out.buffer.getvalue()) == ["é\u4e16"]
