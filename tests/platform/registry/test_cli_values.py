"""`ottla produce` and `ottla consume` with values whose schemas are in a registry."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from tests.platform.registry.registry_process import Api
from tests.unit.client.values.programs.protobuf_world import World

from ottla.testing import InProcessBroker

Ottla = Callable[..., "subprocess.CompletedProcess[bytes]"]

ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "paid", "type": "boolean", "default": True},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0},
    ],
}
LINES = b'{"id": 1, "note": "x", "at": "2026-11-27T00:00:00Z"}\n{"id": 2, "paid": false}\n'
SHOWN = [
    {"id": 1, "note": "x", "paid": True, "at": "2026-11-27T00:00:00.000Z"},
    {"id": 2, "note": None, "paid": False, "at": "1970-01-01T00:00:00.000Z"},
]


@pytest.fixture
def topic() -> str:
    return f"t-{uuid.uuid4()}"


@pytest.fixture
def ottla(broker: InProcessBroker, api: Api) -> Ottla:
    def run(command: str, *args: str, stdin: bytes = b"", fails: bool = False, registry: bool = True):  # type: ignore[no-untyped-def]
        where = ["-b", broker.bootstrap_servers]
        where += ["--schema-registry", api.url] if registry and command in ("produce", "consume") else []
        line = [sys.executable, "-m", "ottla", command, *args, *where]
        done = subprocess.run(line, input=stdin, capture_output=True, timeout=60, check=False)
        assert (done.returncode != 0) == fails, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        return done

    return run


def lines(output: bytes) -> list[object]:
    return [json.loads(line) for line in output.splitlines()]


def first(broker: InProcessBroker, topic: str) -> bytes:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": topic})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        message = consumer.poll(10)
        assert message is not None
        value = message.value()
        assert value is not None
        return value
    finally:
        consumer.close()


def test_avro_with_a_schema_in_a_file(
    ottla: Ottla, broker: InProcessBroker, api: Api, topic: str, tmp_path: Path
) -> None:
    (tmp_path / "order.avsc").write_text(json.dumps(ORDER))
    ottla("produce", topic, "--value", "avro", "--value-schema", str(tmp_path / "order.avsc"), stdin=LINES)
    with SchemaRegistryClient({"url": api.url}) as sr:
        read = AvroDeserializer(sr)(first(broker, topic), SerializationContext(topic, MessageField.VALUE))
    assert (read["id"], read["note"], read["paid"]) == (1, "x", True)
    assert lines(ottla("consume", topic, "-e", "--value", "avro").stdout) == SHOWN
    records = lines(ottla("consume", topic, "-e", "--value", "avro", "--format", "json").stdout)
    assert [each["value"] for each in records] == SHOWN  # type: ignore[index, call-overload]
    found = ottla("consume", topic, "-e", "--value", "avro", "--contains", '"note":"x"').stdout
    assert lines(found) == SHOWN[:1]
    table = pq.read_table(
        io.BytesIO(ottla("consume", topic, "-e", "--value", "avro", "--format", "parquet").stdout)
    )
    assert table.schema.field("value").type.field("at").type == pa.timestamp("ms", "UTC")
    assert [each["id"] for each in table.column("value").to_pylist()] == [1, 2]


def test_what_is_wrong_is_told_with_its_line_and_what_was_before_is_sent(
    ottla: Ottla, topic: str, tmp_path: Path
) -> None:
    (tmp_path / "order.avsc").write_text(json.dumps(ORDER))
    options = ("--value", "avro", "--value-schema", str(tmp_path / "order.avsc"))
    for stdin, reason in (
        (b'{"id": 1}\n{"id": "x"}\n{"id": 3}\n', "line 2: Expected `int | null`, got `str` - at `$.id`"),
        (b'{"id": 1}\n{"note": "x"}\n', "line 2: id: a null where the Avro schema takes none"),
        (b'{"id": 1}\n{\n', "line 2: Input data was truncated"),
    ):
        done = ottla("produce", topic, *options, stdin=stdin, fails=True)
        assert reason in done.stderr.decode()
    assert [each["id"] for each in lines(ottla("consume", topic, "-e", "--value", "avro").stdout)] == [
        1,
        1,
        1,
    ]  # type: ignore[index, call-overload]


def test_without_a_schema_the_latest_is_written_or_one_is_made_of_the_input(
    ottla: Ottla, api: Api, topic: str
) -> None:
    ottla("produce", topic, "--value", "avro", stdin=b'{"id": 1, "tags": ["a"]}\n')
    made = json.loads(api.get(f"/subjects/{topic}-value/versions/latest").json["schema"])
    assert [each["name"] for each in made["fields"]] == ["id", "tags"]
    ottla("produce", topic, "--value", "avro", stdin=b'{"id": 2, "other": true}\n')
    assert api.get(f"/subjects/{topic}-value/versions").json == [1]
    shown = lines(ottla("consume", topic, "-e", "--value", "avro").stdout)
    assert shown == [{"id": 1, "tags": ["a"]}, {"id": 2, "tags": None}]


def test_csv_is_cast_to_what_the_schema_says(ottla: Ottla, topic: str, tmp_path: Path) -> None:
    (tmp_path / "order.avsc").write_text(json.dumps(ORDER))
    options = ("--format", "csv", "--key-column", "note", "--value", "avro")
    schema = ("--value-schema", str(tmp_path / "order.avsc"))
    csv = b"note,id,paid,at\na,1,true,2026-11-27T00:00:00Z\nb,2,,\n"
    ottla("produce", topic, *options, *schema, stdin=csv)
    text = ottla("consume", topic, "-e", "--value", "avro", "--keys").stdout.decode().splitlines()
    assert [line.split("\t")[0] for line in text] == ["a", "b"]
    assert json.loads(text[0].split("\t")[1])["id"] == 1
    done = ottla("produce", topic, *options, *schema, stdin=b"note,id\na,1\nb,two\n", fails=True)
    assert "line 3: id: 'two' is no int64" in done.stderr.decode()


def test_protobuf_with_imports_and_keys(
    ottla: Ottla, broker: InProcessBroker, api: Api, topic: str, tmp_path: Path
) -> None:
    item = 'syntax = "proto3"; package shop; message Item { string name = 1; }'
    cart = """syntax = "proto3"; package shop;
        import "shop/item.proto"; import "google/protobuf/duration.proto";
        message Cart { int64 id = 1; repeated Item items = 2; google.protobuf.Duration took = 3;
          map<int32, string> notes = 4; }"""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "item.proto").write_text(item)
    (tmp_path / "shop" / "cart.proto").write_text(cart)
    row = {"id": 7, "items": [{"name": "x"}], "took": "1.5s", "notes": {"5": "five"}}
    ottla(
        "produce",
        topic,
        *("--value", "protobuf", "--value-schema", str(tmp_path / "shop" / "cart.proto")),
        *("--key-as", "avro", "--key-separator", ":"),
        stdin=b"a key:" + json.dumps(row).encode() + b"\n",
    )
    world = World(cart, "shop.Cart", {"shop/item.proto": item})
    read = world.message.FromString(first(broker, topic)[6:])
    assert (read.id, read.items[0].name, read.took.nanos, read.notes[5]) == (7, "x", 500_000_000, "five")
    assert api.get("/subjects/shop%2Fitem.proto/versions").json == [1]
    both = ("--value", "protobuf", "--key-as", "avro")
    assert ottla("consume", topic, "-e", *both, "--keys").stdout.startswith(b'a key\t{"id":7,')
    (record,) = lines(ottla("consume", topic, "-e", *both, "--format", "json").stdout)
    assert isinstance(record, dict)
    assert (record["key"], record["value"]["took"], record["value"]["notes"]) == (
        "a key",
        "1.500000s",
        {"5": "five"},
    )


def test_json_schema_goes_out_as_it_was_written(
    ottla: Ottla, broker: InProcessBroker, api: Api, topic: str, tmp_path: Path
) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "number"}}, "required": ["id"]}
    (tmp_path / "order.json").write_text(json.dumps(schema))
    options = ("--value", "json-schema", "--value-schema", str(tmp_path / "order.json"), "--validate")
    ottla("produce", topic, *options, stdin=b'{"id": 1.00, "more": null}\n')
    assert first(broker, topic)[5:] == b'{"id": 1.00, "more": null}'
    with SchemaRegistryClient({"url": api.url}) as sr:
        read = JSONDeserializer(None, schema_registry_client=sr)
        assert read(first(broker, topic), SerializationContext(topic, MessageField.VALUE)) == {
            "id": 1.0,
            "more": None,
        }
    assert lines(ottla("consume", topic, "-e", "--value", "json-schema").stdout) == [{"id": 1.0}]
    done = ottla("produce", topic, *options, stdin=b"{}\n", fails=True)
    assert (
        "line 1: a value is not what its JSON Schema says: 'id' is a required property"
        in done.stderr.decode()
    )


def test_tables_keep_their_types_and_ids_may_stand_in_headers(
    ottla: Ottla, api: Api, topic: str, tmp_path: Path
) -> None:
    table = pa.table({"name": ["a", "b"], "at": pa.array([1, 2], pa.timestamp("us", "UTC"))})
    pq.write_table(table, tmp_path / "t.parquet")
    ottla(
        *("produce", topic, str(tmp_path / "t.parquet"), "--format", "parquet", "--key-column", "name"),
        *("--value", "avro", "--schema-ids", "header"),
    )
    made = json.loads(api.get(f"/subjects/{topic}-value/versions/latest").json["schema"])
    assert made["fields"][0]["type"][1]["logicalType"] == "timestamp-micros"
    plain = ottla("consume", topic, "-e", "--format", "json").stdout
    assert b"__value_schema_id" in plain
    shown = lines(ottla("consume", topic, "-e", "--value", "avro").stdout)
    assert shown == [{"at": "1970-01-01T00:00:00.000001Z"}, {"at": "1970-01-01T00:00:00.000002Z"}]


def test_broken_records_end_it_or_are_left_out(ottla: Ottla, topic: str) -> None:
    ottla("produce", topic, "--value", "avro", stdin=b'{"id": 1}\n')
    ottla("produce", topic, stdin=b"plain\n")
    done = ottla("consume", topic, "-e", "--value", "avro", fails=True)
    assert f"the value of {topic}-0 at offset 1: the value begins with byte 112" in done.stderr.decode()
    done = ottla("consume", topic, "-e", "--value", "avro", "--skip-broken")
    assert lines(done.stdout) == [{"id": 1}]
    assert b"1 broken records were left out" in done.stderr
    table = ottla("consume", topic, "-e", "--value", "avro", "--skip-broken", "--format", "parquet").stdout
    assert pq.read_table(io.BytesIO(table)).num_rows == 1
    done = ottla("consume", topic, "-e", "--value", "avro", "--format", "parquet", fails=True)
    assert "at offset 1" in done.stderr.decode()


def test_the_registry_is_named_by_properties_and_its_faults_are_told(
    ottla: Ottla, api: Api, topic: str, tmp_path: Path
) -> None:
    file = tmp_path / "client.properties"
    file.write_text(f"schema.registry.url={api.url}\nbasic.auth.user.info=u:p\n")
    ottla(
        "produce",
        topic,
        "--value",
        "avro",
        "--command-config",
        str(file),
        stdin=b'{"id": 1}\n',
        registry=False,
    )
    done = ottla("consume", topic, "-e", "--value", "avro", registry=False, fails=True)
    assert "There is no schema registry" in done.stderr.decode()
    unreachable = ("-X", "schema.registry.url=http://127.0.0.1:1")
    done = ottla("consume", topic, "-e", "--value", "avro", *unreachable, registry=False, fails=True)
    assert "no registry answers: http://127.0.0.1:1" in done.stderr.decode()
    done = ottla("consume", topic, "-e", "--value-schema", str(file), fails=True)
    assert "--value-schema and --value-message need --value" in done.stderr.decode()
    nothing = tmp_path / "nothing.avsc"
    nothing.write_text("nothing")
    done = ottla(
        "produce", topic, "--value", "avro", "--value-schema", str(nothing), stdin=b"{}\n", fails=True
    )
    assert "nothing.avsc: the Avro schema is no JSON" in done.stderr.decode()
