"""What is installed here, from a database through a topic into Parquet on a server of S3 and into another
database: every row, with its types, compared whole."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import stat
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from tests.platform.connect.conftest import Start
from tests.platform.connect.object_stores import S3
from tests.platform.connect.worker_process import wait_until

from ottla.connect.connectors.sql.databases import database_url

EVERY = 60
"""One file of so many in the short form"""
TABLE = "files"
COLUMNS = ("id", "package", "path", "bytes", "megabytes", "is_folder", "changed_at", "target")
Row = tuple[object, ...]


def _files(every: int) -> list[Row]:
    """As Debian's package manager lists them, with what the disk says of each; one of so many."""
    listed = [
        (listing.stem, line)
        for listing in sorted(Path("/var/lib/dpkg/info").glob("*.list"))
        for line in listing.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    ]
    rows: list[Row] = []
    for package, line in listed[::every]:
        with contextlib.suppress(OSError):
            found = os.lstat(line)
            changed = dt.datetime.fromtimestamp(int(found.st_mtime), dt.UTC).replace(tzinfo=None)
            rows.append((
                len(rows) + 1, package, line.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                found.st_size, Decimal(found.st_size).scaleb(-6), stat.S_ISDIR(found.st_mode), changed,
                os.readlink(line) if stat.S_ISLNK(found.st_mode) else None,
            ))  # fmt: skip
    return rows


def _table(engine: sa.Engine, rows: list[Row]) -> None:
    table = sa.Table(
        TABLE, sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("package", sa.Text, nullable=False), sa.Column("path", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("megabytes", sa.Numeric(20, 6), nullable=False),
        sa.Column("is_folder", sa.Boolean, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False), sa.Column("target", sa.Text),
    )  # fmt: skip
    with engine.begin() as connection:
        table.create(connection)
        for start in range(0, len(rows), 10_000):
            batch = [dict(zip(COLUMNS, row, strict=True)) for row in rows[start : start + 10_000]]
            connection.execute(table.insert(), batch)


def _rows_of(engine: sa.Engine) -> list[Row]:
    with engine.connect() as connection:
        found = connection.execute(sa.text(f"SELECT {', '.join(COLUMNS)} FROM {TABLE} ORDER BY id"))
        return [(*row[:5], bool(row[5]), *row[6:]) for row in found]


def _count(engine: sa.Engine) -> int:
    if not sa.inspect(engine).has_table(TABLE):
        return 0
    with engine.connect() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {TABLE}")).scalar_one())


def _parquet(s3: S3) -> pa.Table | None:
    found = s3.objects(f"topics/db-{TABLE}")
    return (
        pa.concat_tables([pq.read_table(io.BytesIO(data)) for _, data in sorted(found.items())])
        if found
        else None
    )


def _objects_have(s3: S3, count: int) -> bool:
    table = _parquet(s3)
    return table is not None and table.num_rows >= count


@pytest.mark.timeout(1200)
def test_a_database_arrives_whole_in_objects_and_in_another(
    start: Start, postgresql: str, mariadb: str, s3: S3, request: pytest.FixtureRequest
) -> None:
    if not Path("/var/lib/dpkg/info").is_dir():
        pytest.skip("this machine has no list of what is installed")
    is_full = request.config.getoption("--full")
    rows = _files(1 if is_full else EVERY)
    assert len(rows) >= (100_000 if is_full else 100)
    source, target = (sa.create_engine(database_url(url)) for url in (postgresql, mariadb))
    _table(source, rows)
    json = "org.apache.kafka.connect.json.JsonConverter"
    worker = start("standalone", key_converter=json, value_converter=json)
    worker.ready()
    worker.api.create(
        "job-out", connector_class="io.confluent.connect.jdbc.JdbcSourceConnector", connection_url=postgresql,
        mode="incrementing", incrementing_column_name="id", table_whitelist=TABLE, topic_prefix="db-",
        poll_interval_ms="100", batch_max_rows="2000", numeric_mapping="none",
    )  # fmt: skip
    worker.api.create(
        "job-in", connector_class="io.confluent.connect.jdbc.JdbcSinkConnector", connection_url=mariadb,
        topics=f"db-{TABLE}", table_name_format=TABLE, auto_create="true", insert_mode="upsert",
        pk_mode="record_value", pk_fields="id", consumer_override_max_poll_records="2000",
    )  # fmt: skip
    objects = {
        "connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": f"db-{TABLE}",
        "format.class": "io.confluent.connect.s3.format.parquet.ParquetFormat", "flush.size": "10000",
        "rotate.schedule.interval.ms": "2000", **s3.settings,
    }  # fmt: skip
    assert worker.api.call("PUT", "/connectors/job-objects/config", objects).status == 201

    def states() -> object:
        names = ("job-out", "job-in", "job-objects")
        return _count(target), [worker.api.call("GET", f"/connectors/{name}/status") for name in names]

    within_s = 900 if is_full else 90
    wait_until(lambda: _count(target) >= len(rows), states, within_s)
    wait_until(lambda: _objects_have(s3, len(rows)), states, within_s)
    assert _rows_of(source) == rows
    assert _rows_of(target) == rows
    table = _parquet(s3)
    assert table is not None
    read = table.set_column(6, "changed_at", table["changed_at"].cast(pa.timestamp("ms"))).sort_by("id")
    assert read.column_names == list(COLUMNS)
    assert [tuple(row.values()) for row in read.to_pylist()] == rows
    for engine in (source, target):
        engine.dispose()
    assert worker.stop() == 0
