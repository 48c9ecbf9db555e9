"""Tables and types, as the catalog has them now."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from ottla.cdc.postgres.columns import ColumnInfo, TableInfo
from ottla.cdc.postgres.messages import Relation
from ottla.cdc.postgres.types import TypeInfo
from ottla.cdc.tables import TableId

__all__ = ["Catalog"]

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' ORDER BY 1, 2
"""
_COLUMNS = """
SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
  a.attgenerated::text
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %s AND c.relname = %s
) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# Of the primary key, or of the unique index that comes first by its name and has columns alone.
_KEYS = """
SELECT a.attname FROM (
  SELECT i.indexrelid, i.indrelid, i.indkey, i.indnkeyatts
  FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
  WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND NOT 0 = ANY (i.indkey::int2[])
  AND i.indrelid = (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s
  ) ORDER BY i.indisprimary DESC, ic.relname LIMIT 1
) k CROSS JOIN LATERAL unnest(k.indkey::int2[]) WITH ORDINALITY AS u (attnum, number)
JOIN pg_attribute a ON a.attrelid = k.indrelid AND a.attnum = u.attnum
WHERE u.number <= k.indnkeyatts ORDER BY u.number
"""
_TYPE = """
SELECT t.typname, t.typtype::text, t.typelem, t.typcategory::text, t.typbasetype, t.typtypmod,
  ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
FROM pg_type t WHERE t.oid = %s
"""


class Catalog:
    """By one connection, whose transactions are its owner's."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self.connection = connection
        self._types: dict[int, TypeInfo] = {}

    def tables(self) -> list[TableId]:
        return [TableId(*row) for row in self.connection.execute(_TABLES)]

    def table(self, table: TableId) -> TableInfo:
        """As it is now; without columns where it is not there any more."""
        rows = self.connection.execute(_COLUMNS, table).fetchall()
        columns = [
            ColumnInfo(name, self._type(oid), modifier, not_null, None if generated else default)
            for name, oid, modifier, not_null, default, generated in rows
        ]
        return TableInfo(table, columns, self._keys(table))

    def _keys(self, table: TableId) -> list[str]:
        return [row[0] for row in self.connection.execute(_KEYS, table)]

    def relation(self, relation: Relation) -> TableInfo:
        """As the log has it; what that does not tell is as it is now, as are enumerations' labels."""
        table = TableId(relation.schema, relation.name)
        self._types = {oid: info for oid, info in self._types.items() if info.kind != "e"}
        now = {column.name: column for column in self.table(table).columns}
        columns = []
        for each in relation.columns:
            found = now.get(each.name)
            columns.append(
                ColumnInfo(
                    each.name,
                    self._type(each.type_oid),
                    each.modifier,
                    found is not None and found.not_null,
                    None if found is None else found.default,
                )
            )
        names = {column.name for column in relation.columns}
        keys = self._keys(table)
        if not keys or not names.issuperset(keys):
            keys = [each.name for each in relation.columns if each.is_key and relation.identity != "f"]
        return TableInfo(table, columns, keys)

    def _type(self, oid: int) -> TypeInfo:
        found = self._types.get(oid)
        if found is None:
            found = self._types[oid] = self._read_type(oid)
        return found

    def _read_type(self, oid: int) -> TypeInfo:
        row = self.connection.execute(_TYPE, [oid]).fetchone()
        if row is None:
            return TypeInfo(oid, f"unknown type {oid}")
        name, kind, element, category, base, modifier, labels = row
        if kind == "d":
            of = self._type(base)
            given = of.modifier if modifier < 0 else modifier
            return TypeInfo(oid, of.name, of.kind, of.labels, of.element, given)
        inner = self._type(element) if category == "A" and element else None
        return TypeInfo(oid, name, kind, labels, inner)
