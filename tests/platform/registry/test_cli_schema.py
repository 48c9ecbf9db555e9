"""`ottla schema`."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.platform.registry.registry_process import Api

Schema = Callable[..., "subprocess.CompletedProcess[str]"]

FIELDS: list[Any] = [{"name": "id", "type": "long"}]
MORE = [*FIELDS, {"name": "note", "type": "string", "default": ""}]
WRONG = [{"name": "id", "type": "string"}]


def record(fields: list[Any]) -> str:
    return json.dumps({"type": "record", "name": "Order", "fields": fields})


@pytest.fixture
def name() -> str:
    return f"orders-{uuid.uuid4()}"


@pytest.fixture
def schema(api: Api) -> Schema:
    def run(*args: str, code: int = 0):  # type: ignore[no-untyped-def]
        line = [sys.executable, "-m", "ottla", "schema", *args, "--schema-registry", api.url]
        done = subprocess.run(line, capture_output=True, timeout=60, check=False, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for each, fields in (("one", FIELDS), ("two", MORE), ("wrong", WRONG)):
        (tmp_path / f"{each}.avsc").write_text(record(fields))
    return tmp_path


def test_a_schema_from_its_registration_to_its_end(schema: Schema, api: Api, name: str, files: Path) -> None:
    said = schema("register", name, str(files / "one.avsc")).stdout
    id_ = api.get(f"/subjects/{name}/versions/1").json["id"]
    assert said == f"{name} version 1 has id {id_}\n"
    assert schema("check", name, str(files / "two.avsc")).stdout == "compatible\n"
    two = json.loads(schema("register", name, str(files / "two.avsc"), "--json").stdout)
    assert (two["subject"], two["version"]) == (name, 2)
    refused = schema("check", name, str(files / "wrong.avsc"), code=1).stdout
    assert refused.startswith("not compatible:\n")
    assert "TYPE_MISMATCH" in refused
    reasons = json.loads(schema("check", name, str(files / "wrong.avsc"), "--json", code=1).stdout)
    assert (reasons["compatible"], len(reasons["reasons"]) > 0) == (False, True)
    assert "incompatible" in schema("register", name, str(files / "wrong.avsc"), code=1).stderr

    assert json.loads(schema("get", name).stdout) == json.loads(record(MORE))
    assert json.loads(schema("get", name, "--version", "1").stdout) == json.loads(record(FIELDS))
    assert json.loads(schema("get", "--id", str(id_)).stdout) == json.loads(record(FIELDS))
    assert json.loads(schema("get", name, "--json").stdout)["version"] == 2
    table = schema("list", name).stdout.splitlines()
    assert [line.split()[1:] for line in table[1:]] == [
        ["1", str(id_), "AVRO"],
        ["2", str(two["id"]), "AVRO"],
    ]
    listed = json.loads(schema("list", "--prefix", name, "--json").stdout)
    assert listed == [{"subject": name, "version": 2, "id": two["id"], "type": "AVRO"}]

    assert schema("delete", name, "--version", "1").stdout == f"deleted {name} 1\n"
    assert len(schema("list", name).stdout.splitlines()) == 2
    assert len(json.loads(schema("list", name, "--deleted", "--json").stdout)) == 2
    assert schema("delete", name).stdout == f"deleted {name} 2\n"
    assert "there is no subject" in schema("list", name, code=1).stderr
    assert schema("delete", name, "--permanent").stdout == f"deleted {name} 1, 2 for ever\n"


def test_what_differs_and_who_reads_whom(schema: Schema, name: str, files: Path) -> None:
    schema("register", name, str(files / "one.avsc"))
    schema("register", name, str(files / "two.avsc"))
    said = schema("diff", name).stdout
    assert '+      "name": "note"' in said
    assert "the new reads what the old wrote: yes" in said
    assert "the old reads what the new wrote: yes" in said
    said = schema("diff", name, "2", "--file", str(files / "wrong.avsc")).stdout
    assert '-      "type": "long"' in said
    assert "the new reads what the old wrote: no\n  TYPE_MISMATCH at /fields/0/type" in said
    (files / "two.json").write_text((files / "two.avsc").read_text())
    assert schema("diff", name, "--file", str(files / "two.json"), "--type", "avro").stdout.startswith("no ")
    assert "--type is for --file" in schema("diff", name, "--type", "avro", code=2).stderr
    shown = json.loads(schema("diff", name, "1", "1", "--json").stdout)
    assert shown == {"diff": [], "backward": [], "forward": []}
    assert schema("diff", name, "1", "1").stdout.startswith("no difference\n")


def test_protobuf_with_its_imports_and_json_with_references(
    schema: Schema, api: Api, name: str, tmp_path: Path
) -> None:
    path = f"p{uuid.uuid4().hex}/item.proto"
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text('syntax = "proto3"; message Item { string name = 1; }')
    (tmp_path / "cart.proto").write_text(
        f'syntax = "proto3"; import "{path}"; message Cart {{ Item i = 1; }}'
    )
    refused = schema("check", name, str(tmp_path / "cart.proto"), code=1).stderr
    assert f"imports {path}, which is not registered" in refused
    schema("register", name, str(tmp_path / "cart.proto"))
    found = api.get(f"/subjects/{name}/versions/1").json
    assert found["references"] == [{"name": path, "subject": path, "version": 1}]
    assert "message Cart" in schema("get", name).stdout
    assert schema("diff", name, "--file", str(tmp_path / "cart.proto")).stdout.startswith("no difference")

    (tmp_path / "money.json").write_text('{"type": "object", "properties": {"cents": {"type": "integer"}}}')
    (tmp_path / "price.json").write_text('{"type": "object", "properties": {"a": {"$ref": "money.json"}}}')
    schema("register", f"{name}-money", str(tmp_path / "money.json"))
    reference = ("--reference", f"money.json={name}-money:1")
    schema("register", f"{name}-price", str(tmp_path / "price.json"), *reference)
    assert schema("check", f"{name}-price", str(tmp_path / "price.json"), *reference).stdout == "compatible\n"


def test_what_is_wrong_is_told_in_a_line(schema: Schema, name: str, files: Path, tmp_path: Path) -> None:
    schema("register", name, str(files / "one.avsc"))
    said = schema("get", f"{name}x", code=1).stderr
    assert said == f"ottla: there is no subject {name}x; did you mean {name}?\n"
    assert "Version 7 not found" in schema("get", name, "--version", "7", code=1).stderr
    assert "neither a number from 1 nor latest" in schema("get", name, "--version", "-1", code=2).stderr
    assert "by its SUBJECT or by --id" in schema("get", code=2).stderr
    (tmp_path / "what.txt").write_text("x")
    assert "--type says what it is" in schema("register", name, str(tmp_path / "what.txt"), code=2).stderr
    refused = schema("register", name, str(tmp_path / "what.txt"), "--type", "avro", code=1).stderr
    assert "Not JSON" in refused
    assert (
        "NAME=SUBJECT:VERSION"
        in schema("register", name, str(files / "one.avsc"), "--reference", "x", code=2).stderr
    )
