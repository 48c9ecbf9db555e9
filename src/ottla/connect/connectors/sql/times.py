"""Columns with the time of a row's last change: the database's clock as they tell it, and comparisons."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mssql, oracle

from ottla.connect.data.logical import EPOCH

__all__ = ["TimeColumn"]

_CLOCKS: Final = {
    "postgresql": ("LOCALTIMESTAMP", "timezone('UTC', CURRENT_TIMESTAMP)"),
    "mysql": ("LOCALTIMESTAMP(6)", "UTC_TIMESTAMP(6)"),
    "mariadb": ("LOCALTIMESTAMP(6)", "UTC_TIMESTAMP(6)"),
    "sqlite": ("strftime('%Y-%m-%d %H:%M:%f', 'now')",) * 2,
    "mssql": ("SYSDATETIME()", "SYSUTCDATETIME()"),
    "oracle": ("LOCALTIMESTAMP", "SYS_EXTRACT_UTC(SYSTIMESTAMP)"),
    "hana": ("CURRENT_TIMESTAMP", "CURRENT_UTCTIMESTAMP"),
}
"""What tells the time where the database is, and UTC's."""
_SECOND: Final = dt.timedelta(seconds=1)


class TimeColumn:
    """Moments are aware; one from a column without a zone counts as UTC's."""

    def __init__(self, column: sa.ColumnElement[Any], dialect: str) -> None:
        self.column: Final = column
        self._clocks: Final = _CLOCKS[dialect]
        kind = column.type
        self._is_zoned: Final = bool(getattr(kind, "timezone", False))
        self._is_day: Final = isinstance(kind, sa.Date)
        self._is_text: Final = not self._is_day and (dialect == "sqlite" or not isinstance(kind, sa.DateTime))
        self.resolution: Final = _SECOND if self._is_text else _resolution(kind, dialect)
        """Changes that are closer to each other than this may have the same time."""

    def end(self, connection: sa.Connection, delay: dt.timedelta) -> dt.datetime:
        """Before it no row gets its time any more: the database's time less the delay, cut down to what the
        column tells apart. Where the column does not say whose time it has, it is the earlier of UTC and
        the database's zone: rows may come late, and none is lost.
        """
        clocks = self._clocks[1:] if self._is_zoned else self._clocks
        told = connection.execute(sa.select(*(sa.literal_column(one, sa.String()) for one in clocks))).one()
        end = min(moment_of(cell) for cell in told) - delay
        return end - (end - EPOCH) % self.resolution

    def before(self, moment: dt.datetime) -> sa.ColumnElement[bool]:
        return self.column < (self._text(moment) if self._is_text else self._bound(moment))

    def after(self, moment: dt.datetime) -> sa.ColumnElement[bool]:
        return self.column > (self._long_text(moment) if self._is_text else self._bound(moment))

    def at(self, moment: dt.datetime) -> sa.ColumnElement[bool]:
        if self._is_text:
            return self.column.between(self._text(moment), self._long_text(moment))
        return self.column == self._bound(moment)

    def _bound(self, moment: dt.datetime) -> dt.date:
        if self._is_day:
            return moment.date()
        return moment if self._is_zoned else moment.replace(tzinfo=None)

    # A text has as many digits of a second as it likes: these are the least and the greatest of a moment.

    def _text(self, moment: dt.datetime) -> sa.ColumnElement[str]:
        text = moment.strftime("%Y-%m-%d %H:%M:%S.%f").rstrip("0").rstrip(".")
        return sa.literal(text, sa.String())

    def _long_text(self, moment: dt.datetime) -> sa.ColumnElement[str]:
        return sa.literal(moment.strftime("%Y-%m-%d %H:%M:%S.%f"), sa.String())


def moment_of(cell: Any) -> dt.datetime:
    """A time that a driver gave. Raises ValueError for a text that is none."""
    if isinstance(cell, dt.date) and not isinstance(cell, dt.datetime):
        cell = dt.datetime(cell.year, cell.month, cell.day, tzinfo=dt.UTC)
    moment = cell if isinstance(cell, dt.datetime) else dt.datetime.fromisoformat(str(cell))
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _resolution(kind: sa.types.TypeEngine[Any], dialect: str) -> dt.timedelta:
    if isinstance(kind, oracle.DATE):
        return _SECOND
    if isinstance(kind, sa.Date):
        return dt.timedelta(days=1)
    if isinstance(kind, mssql.SMALLDATETIME):
        return dt.timedelta(minutes=1)
    if dialect == "mssql" and isinstance(kind, sa.DATETIME):
        return dt.timedelta(milliseconds=10)  # it counts in 300ths of a second
    if dialect in ("mysql", "mariadb"):
        digits: int = getattr(kind, "fsp", None) or 0
    else:
        given = getattr(kind, "precision", None)
        digits = 6 if given is None else min(given, 6)
    return _SECOND * 10.0**-digits
