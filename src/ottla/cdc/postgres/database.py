"""The connector's plain connection: sessions whose texts are always of one form, slots and publications."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from ottla.cdc.filters import Tables
from ottla.cdc.postgres.catalog import Catalog
from ottla.cdc.postgres.replication import lsn_text, parse_lsn
from ottla.cdc.tables import TableId
from ottla.connect.errors import ConnectError, RetriableError

__all__ = [
    "SESSION",
    "Connection",
    "Slot",
    "advance_slot",
    "captured",
    "connect",
    "ensure_publication",
    "failure",
    "find_slot",
    "wal_position",
]

Connection = psycopg.Connection[TupleRow]

SESSION: Final = (
    "-c datestyle=ISO,YMD -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=3 "
    "-c bytea_output=hex"
)
"""What the forms of values depend on, as libpq's `options`"""


def failure(what: str, error: psycopg.Error) -> ConnectError:
    """RetriableError for one that may pass."""
    state = error.sqlstate or ""
    passes = state[:2] in ("08", "40", "53", "55", "57") or (
        not state and isinstance(error, psycopg.OperationalError)
    )
    text = f"{what}: {str(error).strip()}"
    return RetriableError(text) if passes else ConnectError(text)


def connect(parameters: Mapping[str, str], statements: str | None) -> Connection:
    """Commits each statement by itself. Raises ConnectError, RetriableError where it may go later."""
    try:
        made = psycopg.connect(make_conninfo(**parameters), autocommit=True)
        for each in _statements(statements or ""):
            made.execute(each.encode())
    except psycopg.Error as error:
        raise failure("connecting to the database failed", error) from error
    return made


def _statements(text: str) -> list[str]:
    parts = re.split(r"(?<!;);(?!;)", text)
    return [each.replace(";;", ";").strip() for each in parts if each.strip()]


class Slot(NamedTuple):
    database: str
    plugin: str
    active: bool
    flushed_lsn: int | None
    """Up to where it was told that all is safe"""
    restart_lsn: int | None
    """From where on the server keeps its log for it"""
    is_lost: bool
    """What it needs is not there any more"""


def find_slot(connection: Connection, name: str) -> Slot | None:
    row = connection.execute(
        "SELECT database, plugin, active, confirmed_flush_lsn::text, restart_lsn::text, wal_status "
        "FROM pg_replication_slots WHERE slot_name = %s",
        [name],
    ).fetchone()
    if row is None:
        return None
    database, plugin, active, *places, status = row
    flushed, restart = (None if each is None else parse_lsn(each) for each in places)
    return Slot(database, plugin, active, flushed, restart, status == "lost")


def advance_slot(connection: Connection, name: str, lsn: int) -> None:
    """Have it begin here, if it would begin earlier."""
    connection.execute("SELECT pg_replication_slot_advance(%s, %s)", [name, lsn_text(lsn)])


def wal_position(connection: Connection) -> tuple[int, int | None]:
    """Where the log is now, and the number of a transaction of now."""
    row = connection.execute("SELECT pg_current_wal_lsn()::text, txid_current() & 4294967295").fetchone()
    assert row is not None  # one always comes
    return parse_lsn(row[0]), int(row[1])


def captured(
    catalog: Catalog, tables: Tables, wanted: Callable[[TableId], bool] | None = None
) -> list[TableId]:
    """By schema and name."""
    return [each for each in catalog.tables() if tables.has(each) and (wanted is None or wanted(each))]


def ensure_publication(
    connection: Connection,
    name: str,
    mode: str,
    tables: Callable[[], list[TableId]],
    *,
    via_root: bool,
    operations: str | None,
) -> None:
    """As `publication.autocreate.mode` has it. Raises ConnectError."""
    row = connection.execute("SELECT puballtables FROM pg_publication WHERE pubname = %s", [name]).fetchone()
    given: list[sql.Composable] = []
    if via_root:
        given.append(sql.SQL("publish_via_partition_root = true"))
    if operations is not None:
        given.append(sql.SQL("publish = {}").format(sql.Literal(operations)))
    clause = sql.SQL(" WITH ({})").format(sql.SQL(", ").join(given)) if given else sql.SQL("")
    publication = sql.Identifier(name)
    if row is None:
        if mode == "disabled":
            raise ConnectError(
                f"there is no publication {name}, and publication.autocreate.mode=disabled has none made: "
                f"CREATE PUBLICATION {name} FOR TABLE ..."
            )
        what = {"all_tables": " FOR ALL TABLES", "no_tables": ""}.get(mode)
        target = sql.SQL(" FOR TABLE {}").format(_list(_some(tables()))) if what is None else sql.SQL(what)
        connection.execute(sql.SQL("CREATE PUBLICATION {}{}{}").format(publication, target, clause))
    elif mode == "filtered":
        if row[0]:
            raise ConnectError(
                f"the publication {name} is of all tables, and publication.autocreate.mode=filtered cannot "
                "change that: drop it, or set the mode to all_tables"
            )
        wanted = _some(tables())
        rows = connection.execute(
            "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = %s", [name]
        )
        if sorted(wanted) != sorted(TableId(*each) for each in rows):
            connection.execute(
                sql.SQL("ALTER PUBLICATION {} SET TABLE {}").format(publication, _list(wanted))
            )


def _some(tables: list[TableId]) -> list[TableId]:
    if not tables:
        raise ConnectError("no table is captured: look at table.include.list and schema.include.list")
    return tables


def _list(tables: list[TableId]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*each) for each in tables)
