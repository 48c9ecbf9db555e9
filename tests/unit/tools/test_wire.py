"""The generator of `ottla.protocol.messages`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bench.kafka.install import cache_folder
from tools.wire import definitions, python
from tools.wire.__main__ import KAFKA_VERSION, MESSAGES


def test_what_is_committed_is_what_the_definitions_give() -> None:
    folder = cache_folder() / f"kafka-{KAFKA_VERSION}"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: `python -m tools.wire` fetches Kafka's jars")
    written = python.modules(definitions.read(sorted(folder.glob("kafka-*.jar"))))
    committed = {str(path.relative_to(MESSAGES)): path.read_text() for path in MESSAGES.rglob("*.py")}
    assert committed == written


def jar(tmp_path: Path, *messages: dict[str, Any]) -> Path:
    path = tmp_path / "some.jar"
    with zipfile.ZipFile(path, "w") as archive:
        for message in messages:
            text = "// A comment\n" + json.dumps({"flexibleVersions": "none", **message})
            archive.writestr(f"common/message/{message['name']}.json", text)
        archive.writestr("common/message/other.txt", "{")
    return path


def field(name: str, type_: str, versions: str = "0+", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "versions": versions, "about": "a // b", **more}


def test_a_message_becomes_classes(tmp_path: Path) -> None:
    inner = [field("Id", "uuid"), field("Count", "int32", "1+", default="0x7fffffff")]
    fields = [
        field("ThrottleTimeMs", "int32", "1-3"),
        field("Items", "[]Item", nullableVersions="2+", default="null", fields=inner),
        field("Hint", "string", "2+", nullableVersions="2+", taggedVersions="2+", tag=1, default="null"),
        field("Ready", "bool", default="true"),
        field("Data", "records", nullableVersions="0+"),
    ]
    both = {"apiKey": 5, "validVersions": "0-3", "flexibleVersions": "2+", "fields": fields}
    source = jar(
        tmp_path,
        {"name": "SomeIPRequest", "type": "request", **both, "latestVersionUnstable": True},
        {"name": "SomeIPResponse", "type": "response", **both},
        {"name": "GoneRequest", "type": "request", "validVersions": "none"},
    )
    written = python.modules(definitions.read([source]))
    assert set(written) == {"__init__.py", "records/__init__.py", "some_ip.py"}
    assert '    5: ApiInfo("SomeIP", "some_ip", 0, 3, 2, unstable=True),\n' in written["__init__.py"]
    assert """
class SomeIPRequestItem(Struct):
    id: UUID | None = field("uuid", "0+")
    count: int = field("int32", "1+", default=2147483647)


class SomeIPRequest(Struct, key=5, versions="0-3", flexible="2+"):
    throttle_time_ms: int = field("int32", "1-3")
    items: Sequence[SomeIPRequestItem] | None = array(SomeIPRequestItem, "0+", nullable="2+")
    hint: str | None = field("string", "2+", nullable="2+", tag=1)
    ready: bool = field("bool", "0+", default=True)
    data: bytes | memoryview | None = field("records", "0+", nullable="0+")
""" in written["some_ip.py"]
    assert "class SomeIPResponseItem(Struct):" in written["some_ip.py"]


def test_records_stand_in_a_table(tmp_path: Path) -> None:
    source = jar(
        tmp_path,
        {
            "name": "TransactionLogKey",
            "type": "coordinator-key",
            "apiKey": 3,
            "validVersions": "0",
            "fields": [],
        },
        {
            "name": "TransactionLogValue",
            "type": "coordinator-value",
            "apiKey": 3,
            "validVersions": "0-1",
            "fields": [],
        },
    )
    text = python.modules(definitions.read([source]))["records/transaction.py"]
    assert "    3: (TransactionLogKey, TransactionLogValue),\n" in text
    assert 'class TransactionLogValue(Struct, key=3, versions="0-1", flexible="none"):\n    pass\n' in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ThrottleTimeMs", "throttle_time_ms"),
        ("leaderEpoch", "leader_epoch"),
        ("KRaftVersion", "k_raft_version"),
        ("ApiKey", "api_key"),
        ("SomeIP", "some_ip"),
        ("Log2Name", "log2_name"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert python.snake_case(name) == expected


def test_what_is_not_understood_is_an_error(tmp_path: Path) -> None:
    fields = [field("A", "int8", "0+", taggedVersions="2+", tag=0)]
    source = jar(tmp_path, {"name": "X", "type": "data", "validVersions": "0", "fields": fields})
    with pytest.raises(definitions.DefinitionError, match="A: tagged in 2"):
        definitions.read([source])
