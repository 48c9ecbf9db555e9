"""The packages of this machine: a CSV as Avro through `ottla produce`, the registry, and consumers in Python
and JavaScript; evolved twice, once by each, and one change refused."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from tests.node import install, needs_node, run_tests
from tests.platform.registry.registry_process import Api

from ottla import client
from ottla.testing import InProcessBroker

COLUMNS = ("package", "version", "architecture", "installed_size", "section")
TOPIC = "packages"
FOLDER = Path(__file__).parent / "js"

Field = dict[str, Any]
V1: list[Field] = [
    {"name": "version", "type": "string"},
    {
        "name": "architecture",
        "type": {"type": "enum", "name": "Architecture", "symbols": ["all", "amd64", "other"]},
    },
    {"name": "installed_size", "type": ["null", "long"], "default": None},
]
V2: list[Field] = [*V1, {"name": "section", "type": ["null", "string"], "default": None}]
V3: list[Field] = [*V2, {"name": "origin", "type": "string", "default": "debian"}]
WRONG: list[Field] = [
    each if each["name"] != "installed_size" else {"name": "installed_size", "type": "string"} for each in V2
]


def schema(fields: list[Field]) -> str:
    return json.dumps({"type": "record", "name": "Package", "namespace": "machine", "fields": fields})


@pytest.fixture(scope="module")
def packages() -> list[dict[str, str]]:
    """What dpkg says, or something like it."""
    form = "${Package}\t${Version}\t${Architecture}\t${Installed-Size}\t${Section}\n"
    try:
        said = subprocess.run(
            ["dpkg-query", "-W", "-f", form], capture_output=True, check=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        said = "".join(f"p{each}\t1.{each}\tall\t{each * 7}\tlibs\n" for each in range(300))
    rows = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in said.splitlines()]
    known = ("all", "amd64")
    return [
        {**row, "architecture": row["architecture"] if row["architecture"] in known else "other"}
        for row in rows
    ]


def as_csv(rows: list[dict[str, str]], *names: str) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def typed(row: dict[str, str], *names: str) -> dict[str, Any]:
    made: dict[str, Any] = {name: row[name] or None for name in names}
    return {**made, "installed_size": int(row["installed_size"]) if row["installed_size"] else None}


def by_confluent(broker: InProcessBroker, api: Api, count: int) -> dict[str, Any]:
    context = SerializationContext(TOPIC, MessageField.VALUE)
    settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": f"py-{count}"}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    rows: list[tuple[str, Any]] = []
    try:
        with SchemaRegistryClient({"url": api.url}) as sr:
            deserialize = AvroDeserializer(sr)
            while len(rows) < count:
                message = consumer.poll(20)
                assert message is not None, f"{len(rows)} of {count}"
                key, value = message.key(), message.value()
                assert isinstance(key, bytes)
                assert isinstance(value, bytes)
                rows.append((key.decode(), deserialize(value, context)))
    finally:
        consumer.close()
    return dict(rows)


@needs_node
def test_packages_go_through_clients_of_two_languages_and_evolve(
    broker: InProcessBroker, api: Api, packages: list[dict[str, str]], tmp_path: Path
) -> None:
    for name, fields in (("v1", V1), ("v2", V2), ("wrong", WRONG)):
        (tmp_path / f"{name}.avsc").write_text(schema(fields))

    def ottla(command: str, *args: str, stdin: bytes = b"", code: int = 0) -> str:
        where = ["-b", broker.bootstrap_servers] if command != "schema" else []
        line = [sys.executable, "-m", "ottla", command, *args, *where, "--schema-registry", api.url]
        done = subprocess.run(line, input=stdin, capture_output=True, timeout=100, check=False)
        assert done.returncode == code, done.stderr.decode()
        return (done.stdout + done.stderr).decode()

    def javascript(name: str, **env: str) -> None:
        said = run_tests(
            *(FOLDER, f"--test-name-pattern=^{name}$", "packages.test.js"),
            **{"BOOTSTRAP": broker.bootstrap_servers, "REGISTRY": api.url, "TOPIC": TOPIC, **env},
        )
        assert "# pass 1" in said, said

    install(FOLDER)
    first = ("version", "architecture", "installed_size")
    options = (TOPIC, "--format", "csv", "--key-column", "package", "--value", "avro", "--value-schema")
    ottla("produce", *options, str(tmp_path / "v1.avsc"), stdin=as_csv(packages, "package", *first))
    expected = {row["package"]: typed(row, *first) for row in packages}
    assert by_confluent(broker, api, len(packages)) == expected
    out = tmp_path / "rows.json"
    javascript("read", COUNT=str(len(packages)), OUT=str(out))
    assert {row.pop("key"): row for row in json.loads(out.read_text())} == expected

    # A field more, twice; the second time by JavaScript.
    subject = f"{TOPIC}-value"
    assert ottla("schema", "check", subject, str(tmp_path / "v2.avsc")) == "compatible\n"
    second = (*first, "section")
    few = packages[:7]
    ottla("produce", *options, str(tmp_path / "v2.avsc"), stdin=as_csv(few, "package", *second))
    last = {"version": "1", "architecture": "all", "installed_size": None, "section": "web", "origin": "npm"}
    javascript("write", SCHEMA=schema(V3), VALUE=json.dumps(last))
    assert api.get(f"/subjects/{subject}/versions").json == [1, 2, 3]

    # A change that readers of what is there could not follow.
    refused = ottla("schema", "check", subject, str(tmp_path / "wrong.avsc"), code=1)
    assert "TYPE_MISMATCH" in refused
    assert "installed_size" in refused or "/fields/2/type" in refused
    refused = ottla(
        "produce", *options, str(tmp_path / "wrong.avsc"), stdin=as_csv(few, "package", *second), code=1
    )
    assert "incompatible" in refused
    assert api.get(f"/subjects/{subject}/versions").json == [1, 2, 3]

    # All three versions by the newest schema, and by the other consumers.
    count = len(packages) + len(few) + 1
    with client.connect(broker.bootstrap_servers) as c:
        values = client.avro(api.url, schema(V3))
        read = c.read(TOPIC, value=values)["value"].to_pylist()
    assert len(read) == count
    assert read[0] == {**typed(packages[0], *first), "section": None, "origin": "debian"}
    assert {**typed(few[0], *second), "origin": "debian"} in read
    assert last in read
    assert by_confluent(broker, api, count)["js"] == last
    shown = [json.loads(line) for line in ottla("consume", TOPIC, "-e", "--value", "avro").splitlines()]
    assert len(shown) == count


def test_guids_in_headers_are_read_and_written(broker: InProcessBroker, api: Api) -> None:
    import pyarrow as pa

    values = client.avro(api.url, ids="header")
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    with client.connect(broker.bootstrap_servers) as c:
        c.write("headed", table, value=values)
        read = c.read("headed", value=values)
        assert read["value"].to_pylist() == table.to_pylist()
        ((name, value),) = [tuple(each.values()) for each in read["headers"][0].as_py()]
        assert (name, value[:1], len(value)) == (b"__value_schema_id", b"\1", 17)


def test_a_consumer_reads_keys_and_values(broker: InProcessBroker, api: Api) -> None:
    import pyarrow as pa

    values = client.avro(api.url)
    table = pa.table({"key": [{"id": 1}, {"id": 2}], "value": [{"n": "one"}, None]})
    with client.connect(broker.bootstrap_servers) as c:
        c.write("keyed", table, key=values, value=values)
        settings = {"group": "keyed", "auto_offset_reset": "earliest", "key": values, "value": values}
        with c.consumer(["keyed"], **settings) as reader:
            batch = reader.poll(timeout_s=20)
            assert batch is not None
            read = batch.to_arrow()
    assert read.column("key").to_pylist() == table["key"].to_pylist()
    assert read.column("value").to_pylist() == [{"n": "one"}, None]
