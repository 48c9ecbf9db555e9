"""Records into tables: inserted, put in the place of what has their key, or updated; tombstones delete."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from ottla.connect.connectors.sql.databases import connect, failure
from ottla.connect.connectors.sql.types import column_type, to_database
from ottla.connect.data.schema import Schema, Struct, Value
from ottla.connect.data.schemas import INT32, INT64, STRING
from ottla.connect.errors import ConnectError, DataError
from ottla.connect.records import SinkRecord

__all__ = ["InsertMode", "KeyMode", "RowWriter", "Writing"]

_COORDINATES: Final = ("__connect_topic", "__connect_partition", "__connect_offset")
_OLD: Final = "__old_"
_NEW: Final = "__new_"
"""In front of parameters' names, which may not be columns'"""


class InsertMode(enum.Enum):
    """What becomes of a row whose key is there already."""

    INSERT = "insert"
    UPSERT = "upsert"
    UPDATE = "update"


class KeyMode(enum.Enum):
    """Where a row's key is from."""

    NONE = "none"
    KAFKA = "kafka"
    RECORD_KEY = "record_key"
    RECORD_VALUE = "record_value"


class Writing(NamedTuple):
    """What is written, and how."""

    insert: InsertMode
    key: KeyMode
    key_fields: Sequence[str]
    fields: Sequence[str]
    """Of values; empty for all."""
    deletes: bool
    creates: bool
    evolves: bool
    table_format: str
    batch_size: int
    """How many rows go with one statement at most."""


class _Row(NamedTuple):
    """One row's cells by column; None in place of them deletes the row of this key."""

    key: dict[str, Value]
    cells: dict[str, Value] | None
    schemas: Mapping[str, Schema]


class RowWriter:
    """Writes through one connection; remembers how tables are until one has to change."""

    def __init__(self, engine: sa.Engine, writing: Writing) -> None:
        self._engine: Final = engine
        self._writing: Final = writing
        self._tables: Final[dict[str, sa.Table]] = {}

    def write(self, records: Iterable[SinkRecord]) -> None:
        """All of them in one transaction. Raises RetriableError where the database may take them later,
        ConnectError where it will not.
        """
        rows: dict[str, list[_Row]] = {}
        for record in records:
            name = self._writing.table_format.replace("${topic}", record.topic)
            rows.setdefault(name, []).append(self._row(record))
        try:
            with connect(self._engine) as connection, connection.begin():
                for name, of_table in rows.items():
                    self._write(connection, name, of_table)
        except BaseException as error:
            self._tables.clear()  # tables that were made may be gone with the transaction
            if isinstance(error, sa.exc.SQLAlchemyError):
                raise failure(f"writing into {', '.join(rows)} failed", error) from error
            if isinstance(error, ValueError) and not isinstance(error, ConnectError):
                raise DataError(f"writing into {', '.join(rows)} failed: {error}") from error
            raise

    def _row(self, record: SinkRecord) -> _Row:
        where = f"{record.topic}-{record.partition}@{record.offset}"
        key, schemas = self._key(record, where)
        if record.value is None:
            if not self._writing.deletes:
                raise ConnectError(f"{where} has no value, and delete.enabled is false")
            return _Row(key, None, schemas)
        if not isinstance(record.value, Struct):
            what = record.value_schema or f"{type(record.value).__name__} without a schema"
            raise ConnectError(f"{where}: rows are made of structs, not of {what}")
        cells: dict[str, Value] = {}
        for field in record.value.schema.fields:
            if not self._writing.fields or field.name in self._writing.fields:
                cells[field.name] = record.value[field.name]
                schemas.setdefault(field.name, field.schema)
        if self._writing.key is KeyMode.RECORD_VALUE:
            for name in self._writing.key_fields:
                if name not in cells:
                    raise ConnectError(f"{where} has no field {name}, which is in pk.fields")
            key = {name: cells[name] for name in self._writing.key_fields}
        return _Row(key, cells | key, schemas)

    def _key(self, record: SinkRecord, where: str) -> tuple[dict[str, Value], dict[str, Schema]]:
        writing = self._writing
        if writing.key is KeyMode.KAFKA:
            names = writing.key_fields or _COORDINATES
            cells = (record.original_topic, record.original_partition, record.original_offset)
            return dict(zip(names, cells, strict=True)), dict(zip(names, (STRING, INT32, INT64), strict=True))
        if writing.key is not KeyMode.RECORD_KEY:
            return {}, {}
        if record.key is None or record.key_schema is None:
            raise ConnectError(f"{where} has no key with a schema, which pk.mode=record_key needs")
        if not isinstance(record.key, Struct):
            if len(writing.key_fields) != 1:
                raise ConnectError(f"{where}: a key that is no struct needs one name in pk.fields")
            return {writing.key_fields[0]: record.key}, {writing.key_fields[0]: record.key_schema}
        struct = record.key
        names = writing.key_fields or [field.name for field in struct.schema.fields]
        missing = [name for name in names if struct.schema.field(name) is None]
        if missing:
            raise ConnectError(f"{where}: the key has no field {missing[0]}, which is in pk.fields")
        schemas = {field.name: field.schema for field in struct.schema.fields if field.name in names}
        return {name: struct[name] for name in names}, schemas

    def _write(self, connection: sa.Connection, name: str, rows: Sequence[_Row]) -> None:
        run: list[_Row] = []
        for row in rows:
            if len(run) == self._writing.batch_size or (
                run and (run[0].cells is None, run[0].schemas) != (row.cells is None, row.schemas)
            ):
                self._write_run(connection, name, run)
                run = []
            run.append(row)
        if run:
            self._write_run(connection, name, run)

    def _write_run(self, connection: sa.Connection, name: str, rows: Sequence[_Row]) -> None:
        """Rows that are all deleted, or all written with the same columns."""
        table = self._table(connection, name, rows[0])
        keys = list(rows[0].key)
        if rows[0].cells is None:
            statement = sa.delete(table).where(
                *(table.c[key] == sa.bindparam(f"{_OLD}{key}") for key in keys)
            )
            connection.execute(statement, [self._parameters(table, row.key, _OLD) for row in rows])
            return
        if keys and self._writing.insert is not InsertMode.INSERT:
            # The last row of each key is what would be left.
            rows = list({tuple(row.key.values()): row for row in rows}.values())
        cells = [self._parameters(table, row.cells or {}) for row in rows]
        if self._writing.insert is InsertMode.INSERT:
            connection.execute(sa.insert(table), cells)
        elif self._writing.insert is InsertMode.UPSERT:
            self._upsert(connection, table, keys, cells)
        else:
            self._update(connection, table, keys, rows)

    def _parameters(self, table: sa.Table, cells: Mapping[str, Value], prefix: str = "") -> dict[str, Any]:
        return {
            f"{prefix}{name}": to_database(table.c[name].type, cell, f"{table.fullname}.{name}")
            for name, cell in cells.items()
        }

    def _upsert(
        self,
        connection: sa.Connection,
        table: sa.Table,
        keys: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        dialect = connection.dialect.name
        others = [name for name in rows[0] if name not in keys]
        statement: sa.Insert
        if dialect in ("postgresql", "sqlite"):
            into = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
            changed = {name: into.excluded[name] for name in others}
            if changed:
                statement = into.on_conflict_do_update(index_elements=list(keys), set_=changed)
            else:
                statement = into.on_conflict_do_nothing(index_elements=list(keys))
            connection.execute(statement, rows)
        elif dialect in ("mysql", "mariadb"):
            given = mysql.insert(table)
            changed = {name: given.inserted[name] for name in others or keys}
            connection.execute(given.on_duplicate_key_update(changed), rows)
        else:
            for row in rows:
                where = [table.c[key] == row[key] for key in keys]
                values = {name: row[name] for name in others or keys}
                if connection.execute(sa.update(table).where(*where).values(values)).rowcount == 0:
                    connection.execute(sa.insert(table), row)

    def _update(
        self, connection: sa.Connection, table: sa.Table, keys: Sequence[str], rows: Sequence[_Row]
    ) -> None:
        others = [name for name in rows[0].cells or {} if name not in keys]
        if not others:
            return
        statement = (
            sa.update(table)
            .where(*(table.c[key] == sa.bindparam(f"{_OLD}{key}") for key in keys))
            .values({name: sa.bindparam(f"{_NEW}{name}") for name in others})
        )
        parameters = [
            self._parameters(table, row.key, _OLD)
            | self._parameters(table, {name: (row.cells or {})[name] for name in others}, _NEW)
            for row in rows
        ]
        connection.execute(statement, parameters)

    def _table(self, connection: sa.Connection, name: str, row: _Row) -> sa.Table:
        table = self._tables.get(name)
        if table is None:
            table = self._found(connection, name)
        if table is None:
            table = self._created(connection, name, row)
        missing = [column for column in row.cells or row.key if column not in table.c]
        if missing:
            self._evolve(connection, table, {column: row.schemas[column] for column in missing})
            evolved = self._found(connection, name)
            table = table if evolved is None else evolved
        self._tables[name] = table
        return table

    def _found(self, connection: sa.Connection, name: str) -> sa.Table | None:
        schema, _, plain = name.rpartition(".")
        try:
            return sa.Table(plain, sa.MetaData(), schema=schema or None, autoload_with=connection)
        except sa.exc.NoSuchTableError:
            return None

    def _created(self, connection: sa.Connection, name: str, row: _Row) -> sa.Table:
        if not self._writing.creates:
            raise ConnectError(f"there is no table {name}, and auto.create is false")
        schema, _, plain = name.rpartition(".")
        columns = [
            _column(column, row.schemas[column], connection.dialect.name, key=column in row.key)
            for column in row.cells or row.key
        ]
        # MariaDB and MySQL take any text only where they are told so; databases may be of fewer letters.
        table = sa.Table(
            plain, sa.MetaData(), *columns, schema=schema or None, mysql_charset="utf8mb4",
            mariadb_charset="utf8mb4",
        )  # fmt: skip
        table.create(connection)
        return table

    def _evolve(self, connection: sa.Connection, table: sa.Table, missing: Mapping[str, Schema]) -> None:
        names = ", ".join(missing)
        if not self._writing.evolves:
            raise ConnectError(f"the table {table.fullname} has no column {names}, and auto.evolve is false")
        for name, schema in missing.items():
            if not schema.optional and schema.default is None:
                raise ConnectError(
                    f"the table {table.fullname} has no column {name}, whose field is neither "
                    "optional nor has a default"
                )
            column = _column(name, schema.replace(optional=True), connection.dialect.name)
            sa.Table(table.name, sa.MetaData(), column, schema=table.schema)
            described = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            altered = connection.dialect.identifier_preparer.format_table(table)
            connection.exec_driver_sql(f"ALTER TABLE {altered} ADD {described}")


def _column(name: str, schema: Schema, dialect: str, *, key: bool = False) -> sa.Column[Any]:
    try:
        kind = column_type(schema, dialect, key=key)
    except DataError as error:
        raise DataError(f"{error} (the field {name})") from None
    nullable = schema.optional and not key
    return sa.Column(name, kind, primary_key=key, nullable=nullable, autoincrement=False)
