"""Objects of records: what they are called, what is in them, when they end, and what is committed."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import fastavro
import pyarrow.parquet as pq
import pytest

from ottla.connect.connectors.objects.partitioning import next_scheduled, zone_of
from ottla.connect.connectors.objects.sink import ObjectSinkConnector
from ottla.connect.connectors.objects.store import ObjectStore
from ottla.connect.data import (
    DATE,
    INT32,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIMESTAMP,
    Schema,
    Struct,
    array_of,
    decimal_schema,
    map_of,
    struct_of,
)
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import TopicPartition
from ottla.connect.testing import SinkKit

NOON = 1_709_208_000_000
"""2024-02-29 12:00 UTC"""
SCHEMA = struct_of(
    {
        "id": INT64, "name": OPTIONAL_STRING, "price": decimal_schema(2), "day": DATE, "at": TIMESTAMP,
        "tags": array_of(STRING), "counts": map_of(STRING, INT32),
    },
    name="ns.Row", version=1,
)  # fmt: skip


def row(number: int, schema: Schema = SCHEMA, **others: object) -> Struct:
    values = {
        "id": number, "name": f"n{number}" if number % 2 else None, "price": Decimal(number).scaleb(-2),
        "day": dt.date(2024, 2, 29), "at": dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), "tags": ["a", "b"],
        "counts": {"k": number},
    }  # fmt: skip
    return Struct(schema, {**values, **others})


def record(offset: int, value: object = "", partition: int = 0, **others: object) -> SinkRecord:
    schema = value.schema if isinstance(value, Struct) else STRING if isinstance(value, str) else None
    return SinkRecord(
        "t", partition, offset, value_schema=schema, value=value, **{"timestamp": NOON, **others}
    )  # type: ignore[arg-type]


@contextmanager
def sink(folder: Path, **settings: str) -> Iterator[SinkKit]:
    given = {
        "store.uri": f"file://{folder}", "format.class": "JsonFormat", "flush.size": "3",
        **{name.replace("_", "."): value for name, value in settings.items()},
    }  # fmt: skip
    with SinkKit(ObjectSinkConnector, given) as kit:
        yield kit


def objects(folder: Path) -> dict[str, bytes]:
    found = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return dict(sorted(found.items()))


def test_objects_are_called_as_confluents_are_and_offsets_follow_them(tmp_path: Path) -> None:
    with sink(tmp_path) as kit:
        kit.put("t", [record(offset, f"v{offset}") for offset in range(5, 12)])
        kit.put("t", [record(3, "p1", partition=1)], partition=1)
        kit.commit()
        assert kit.committed == {TopicPartition("t", 0): 11, TopicPartition("t", 1): 3}
    assert objects(tmp_path) == {
        "topics/t/partition=0/t+0+0000000005.json": b'"v5"\n"v6"\n"v7"\n',
        "topics/t/partition=0/t+0+0000000008.json": b'"v8"\n"v9"\n"v10"\n',
    }


def test_who_begins_again_behind_the_last_commit_makes_the_same_objects(tmp_path: Path) -> None:
    """Whatever was stored when the first ended: the folders are equal."""
    rows = [record(offset, row(offset), timestamp=NOON + 1000 * offset) for offset in range(20)]
    settings = {
        "format_class": "x.ParquetFormat", "partitioner_class": "x.TimeBasedPartitioner", "flush_size": "4",
        "partition_duration_ms": "5000", "path_format": "'s'=ss", "timestamp_extractor": "Record",
        "rotate_interval_ms": "3000",
    }  # fmt: skip
    whole = tmp_path / "whole"
    with sink(whole, **settings) as kit:
        kit.put("t", rows)
        kit.commit()
        end = kit.committed[TopicPartition("t", 0)]
    for stops in range(1, 20):
        folder = tmp_path / str(stops)
        with sink(folder, **settings) as kit:
            kit.put("t", rows[: stops // 2])
            kit.commit()
            committed = kit.committed.get(TopicPartition("t", 0), 0)
            kit.put("t", rows[stops // 2 : stops])  # and is killed before it commits
        with sink(folder, **settings) as kit:
            for each in rows[committed:]:
                kit.put("t", [each])
            kit.commit()
            assert kit.committed[TopicPartition("t", 0)] == end
        assert objects(folder) == objects(whole)
    assert len(objects(whole)) > 5


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_avro_is_read_by_others(tmp_path: Path, codec: str) -> None:
    with sink(tmp_path, format_class="io.confluent.connect.s3.format.avro.AvroFormat", avro_codec=codec,
              flush_size="2000") as kit:  # fmt: skip
        kit.put("t", [record(offset, row(offset)) for offset in range(2000)])
    [(name, data)] = objects(tmp_path).items()
    assert name == "topics/t/partition=0/t+0+0000000000.avro"
    read = list(fastavro.reader(io.BytesIO(data)))
    assert [one["id"] for one in read] == list(range(2000))
    assert read[7] == {**{field.name: row(7)[field.name] for field in SCHEMA.fields}}


def test_parquet_has_types(tmp_path: Path) -> None:
    with sink(tmp_path, format_class="ParquetFormat", flush_size="6000") as kit:
        kit.put("t", [record(offset, row(offset)) for offset in range(6000)])
    [(name, data)] = objects(tmp_path).items()
    assert name == "topics/t/partition=0/t+0+0000000000.snappy.parquet"
    table = pq.read_table(io.BytesIO(data))
    assert table.num_rows == 6000
    assert table.slice(5999).to_pylist() == [
        {
            "id": 5999, "name": "n5999", "price": Decimal("59.99"), "day": dt.date(2024, 2, 29),
            "at": dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), "tags": ["a", "b"], "counts": [("k", 5999)],
        }
    ]  # fmt: skip


def test_bytes_and_gzip(tmp_path: Path) -> None:
    with sink(tmp_path, format_class="ByteArrayFormat", s3_compression_type="gzip", flush_size="2") as kit:
        kit.put("t", [record(0, b"\0a"), record(1, b"b")])
    assert {name: gzip.decompress(data) for name, data in objects(tmp_path).items()} == {
        "topics/t/partition=0/t+0+0000000000.bin.gz": b"\0a\nb\n"
    }


def test_fields_are_folders_and_end_together(tmp_path: Path) -> None:
    schema = struct_of({"kind": STRING, "n": INT32}, name="R")
    rows = [
        record(i, Struct(schema, {"kind": kind, "n": i}))
        for i, kind in enumerate(["a", "../b", "a", "a", "c"])
    ]
    with sink(tmp_path, partitioner_class="FieldPartitioner", partition_field_name="kind") as kit:
        kit.put("t", rows)
        kit.commit()
        assert kit.committed == {TopicPartition("t", 0): 4}
    assert objects(tmp_path) == {
        "topics/t/kind=..%2Fb/t+0+0000000001.json": b'{"kind":"../b","n":1}\n',
        "topics/t/kind=a/t+0+0000000000.json": b"".join(b'{"kind":"a","n":%d}\n' % n for n in (0, 2, 3)),
    }


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({"partitioner_class": "HourlyPartitioner"}, "year=2024/month=02/day=29/hour=12"),
        ({"partitioner_class": "DailyPartitioner", "timezone": "Asia/Tokyo"}, "year=2024/month=02/day=29"),
        ({"partitioner_class": "HourlyPartitioner", "timezone": "Asia/Kolkata"},
         "year=2024/month=02/day=29/hour=17"),
        (
            {"partitioner_class": "TimeBasedPartitioner", "partition_duration_ms": "86400000",
             "path_format": "YYYY-MM-dd_HH", "timestamp_extractor": "RecordField", "timestamp_field": "at"},
            "2024-02-29_00",
        ),
    ],
)  # fmt: skip
def test_times_are_folders(tmp_path: Path, settings: dict[str, str], folder: str) -> None:
    with sink(tmp_path, **{"timestamp_extractor": "Record", "flush_size": "1", **settings}) as kit:
        kit.put("t", [record(0, row(0))])
    assert list(objects(tmp_path)) == [f"topics/t/{folder}/t+0+0000000000.json"]


def test_another_schema_begins_another_object_or_is_taken_over(tmp_path: Path) -> None:
    older = struct_of({"id": INT32}, name="R", version=1)
    newer = struct_of({"id": INT32, "more": OPTIONAL_STRING}, name="R", version=2)
    rows = [
        record(0, Struct(older, {"id": 0})), record(1, Struct(newer, {"id": 1, "more": "x"})),
        record(2, Struct(older, {"id": 2})), record(3, Struct(newer, {"id": 3})),
    ]  # fmt: skip
    for compatibility, starts in (("NONE", [0, 1, 2]), ("BACKWARD", [0, 1])):
        folder = tmp_path / compatibility
        with sink(
            folder, format_class="ParquetFormat", schema_compatibility=compatibility, flush_size="3"
        ) as kit:
            kit.put("t", [*rows, record(4, Struct(newer, {"id": 4}))])
            kit.commit()
        found = [int(name.partition(".")[0].rpartition("+")[2]) for name in objects(folder)]
        assert found == starts


def test_records_that_have_no_place_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    with sink(tmp_path, format_class="ParquetFormat", flush_size="3") as kit:
        many = row(1, price=Decimal((0, (9,) * 39, -2)))
        kit.put(
            "t",
            [record(0, row(0)), record(1, "no struct"), record(2, many), record(3, None), record(4, row(4))],
        )
        kit.commit()
        assert [each.offset for each, _ in kit.errant] == [1, 3, 2]
        assert kit.committed == {TopicPartition("t", 0): 5}
    [data] = objects(tmp_path).values()
    assert [one["id"] for one in pq.read_table(io.BytesIO(data)).to_pylist()] == [0, 4]
    ignoring = tmp_path / "ignoring"
    with sink(ignoring, behavior_on_null_values="ignore", flush_size="1") as kit:
        kit.put("t", [record(0, None), record(1, "x")])
        assert not kit.errant
    assert list(objects(ignoring)) == ["topics/t/partition=0/t+0+0000000001.json"]


def test_a_store_that_is_away_has_the_records_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ObjectStore.write
    left = [0]

    def sometimes(self: ObjectStore, path: str, data: bytes) -> None:
        if left[0]:
            left[0] -= 1
            raise RetriableError("away")
        write(self, path, data)

    monkeypatch.setattr(ObjectStore, "write", sometimes)
    with sink(tmp_path, flush_size="2", max_retries="3") as kit:
        kit.put("t", [record(0, "a")])
        left[0] = 2
        kit.put("t", [record(1, "b"), record(2, "c")])
        assert kit.context.rewound == {TopicPartition("t", 0): 0}
        kit.commit()
        assert kit.committed.get(TopicPartition("t", 0), 0) == 0
        kit.put("t", [record(offset, "abc"[offset]) for offset in range(3)])
        kit.put("t", [record(offset, "abc"[offset]) for offset in range(3)])
        kit.commit()
        assert kit.committed == {TopicPartition("t", 0): 2}
    assert objects(tmp_path) == {"topics/t/partition=0/t+0+0000000000.json": b'"a"\n"b"\n'}
    left[0] = 9
    with sink(tmp_path, flush_size="1", max_retries="1") as kit:
        kit.put("t", [record(0, "a")])
        with pytest.raises(ConnectError, match="max.retries=1 is used up: away"):
            kit.put("t", [record(0, "a")])


def test_topics_routed_to_one_folder_keep_their_names(tmp_path: Path) -> None:
    with sink(tmp_path, flush_size="1") as kit:
        for topic in ("a", "b"):
            made = SinkRecord(topic, 0, 7, value_schema=STRING, value=topic)
            kit.put(topic, [made.replace(topic="all")])
    assert list(objects(tmp_path)) == [
        "topics/all/partition=0/a+0+0000000007.json",
        "topics/all/partition=0/b+0+0000000007.json",
    ]


def test_the_schedule_goes_by_the_day_of_the_zone() -> None:
    hour = 3_600_000
    assert next_scheduled(NOON + 1, 5 * hour, zone_of("UTC")) == NOON + 3 * hour
    assert next_scheduled(NOON, hour, zone_of("UTC")) == NOON + hour
    assert next_scheduled(NOON, 24 * hour, zone_of("Asia/Tokyo")) == NOON + 3 * hour


@pytest.mark.parametrize(
    ("settings", "name", "said"),
    [
        ({"format.class": "XmlFormat"}, "format.class", "ParquetFormat, JsonFormat"),
        (
            {"partitioner.class": "x.MoonPartitioner"},
            "partitioner.class",
            "DefaultPartitioner, FieldPartitioner",
        ),
        (
            {"partitioner.class": "FieldPartitioner"},
            "partitioner.class",
            "partition.field.name must be given",
        ),
        ({"timezone": "Mars"}, "timezone", "say UTC"),
        ({"store.uri": ""}, "s3.bucket.name", "store.uri does: one of them"),
        ({"store.uri": "moon://x"}, "store.url", "no store that Arrow has"),
        ({"flush.size": "0"}, "flush.size", "at least 1"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, str], name: str, said: str) -> None:
    given = {"store.uri": "file:///tmp", "format.class": "JsonFormat", "flush.size": "3", **settings}
    errors = {each.name: each.errors for each in ObjectSinkConnector().validate(given) if each.errors}
    assert list(errors) == [name]
    assert said in errors[name][0]


def test_lines_of_json_are_json(tmp_path: Path) -> None:
    with sink(tmp_path, flush_size="1") as kit:
        kit.put("t", [record(0, {"a": [1, None, "x"]})])
    [data] = objects(tmp_path).values()
    assert json.loads(data) == {"a": [1, None, "x"]}
