"""Sources and sinks of Arrow's batches."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottla.connect.batches import BatchSinkTask, BatchSourceTask, SourceBatch
from ottla.connect.data import INT32, OPTIONAL_STRING, TIMESTAMP, Struct, decimal_schema, struct_of
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError, RejectedError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkConnector, SinkTask, SourceConnector, SourceTask
from ottla.connect.testing import SinkKit, SourceKit

NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)


class Rows(BatchSourceTask):
    def start(self, config: Config) -> None:
        self.partition = {"file": config["file"]}
        found = self.context.offset(self.partition) or {"row": 0}
        self.row = int(str(found["row"]))
        self.table = pq.read_table(config["file"])

    def read(self) -> SourceBatch | None:
        rows = self.table.slice(self.row, 2)
        start, self.row = self.row, self.row + rows.num_rows
        if not rows.num_rows:
            return None
        return SourceBatch(
            "rows", rows, self.partition, lambda row: {"row": start + row + 1}, "id", "at", "Row"
        )


class RowsSource(SourceConnector):
    def config(self) -> ConfigDef:
        return ConfigDef().define("file", ConfigType.STRING, REQUIRED, Importance.HIGH, "Parquet.")

    def task_class(self) -> type[SourceTask]:
        return Rows


class Write(BatchSinkTask):
    written: list[tuple[str, pa.RecordBatch]]

    def start(self, config: Config) -> None:
        type(self).written = []

    def write(self, topic: str, batch: pa.RecordBatch) -> None:
        self.written.append((topic, batch))


class WriteSink(SinkConnector):
    def config(self) -> ConfigDef:
        return ConfigDef()

    def task_class(self) -> type[SinkTask]:
        return Write


def test_rows_of_batches_are_records_and_go_on_where_they_were(tmp_path: Path) -> None:
    table = pa.table(
        {"id": pa.array([1, 2, 3, 4], pa.int32()), "name": ["a", None, "c", "d"], "at": [NOON] * 4}
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    kit = SourceKit(RowsSource, {"file": str(tmp_path / "rows.parquet")})
    first = kit.run(polls=1)
    assert [(one.topic, one.key, one.source_offset) for one in first] == [
        ("rows", 1, {"row": 1}), ("rows", 2, {"row": 2}),
    ]  # fmt: skip
    schema = struct_of(
        {"id": INT32.replace(optional=True), "name": OPTIONAL_STRING, "at": TIMESTAMP.replace(optional=True)},
        name="Row",
    )
    assert first[1].value == Struct(schema, {"id": 2, "name": None, "at": NOON})
    assert first[0].timestamp == int(NOON.timestamp() * 1000)
    assert [one.key for one in kit.run(polls=3)] == [3, 4]


def test_what_no_batch_can_be_is_told() -> None:
    rows = pa.table({"id": [1]})
    with pytest.raises(DataError, match="there is no column key; there are id"):
        SourceBatch("t", rows, {}, lambda _: {}, key="key").records()
    with pytest.raises(DataError, match="a str is no time of a record"):
        SourceBatch("t", pa.table({"at": ["noon"]}), {}, lambda _: {}, timestamp="at").records()


def test_records_are_batches_of_one_topic_and_schema() -> None:
    schema, other = struct_of({"n": decimal_schema(0)}), struct_of({"x": INT32})

    def record(offset: int, value: Struct | None, topic: str = "t") -> SinkRecord:
        return SinkRecord(topic, 0, offset, value_schema=None if value is None else value.schema, value=value)

    def row(number: Decimal) -> Struct:
        return Struct(schema, {"n": number})

    with SinkKit(WriteSink, {}) as kit:
        kit.put(
            "t",
            [
                record(0, row(Decimal(1))), record(1, row(Decimal(2))), record(2, None),
                record(3, row(Decimal("9" * 40))), record(4, row(Decimal(3))),
                record(5, Struct(other, {"x": 4})),
            ],
        )  # fmt: skip
        assert [(topic, batch.to_pylist()) for topic, batch in Write.written] == [
            ("t", [{"n": Decimal(1)}, {"n": Decimal(2)}]), ("t", [{"n": Decimal(3)}]), ("t", [{"x": 4}]),
        ]  # fmt: skip
        assert [one.offset for one, _ in kit.errant] == [2, 3]


def test_a_row_that_nobody_tolerates_says_where_it_was() -> None:
    with (
        SinkKit(WriteSink, {}, tolerant=False) as kit,
        pytest.raises(RejectedError, match=r"\(record 7 of t-0\)"),
    ):
        kit.put("t", [SinkRecord("t", 0, 7).replace(topic="renamed")])
