"""Databases by their URLs, SQLAlchemy's or JDBC's, and whether an error of theirs may pass."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from ottla.connect.connectors.sinks import TargetError
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, RetriableError
from ottla.connect.settings import Settings
from ottla.connect.validators import NonEmptyString

__all__ = [
    "connect",
    "connection_config",
    "database_url",
    "engine_of",
    "failure",
]

_DRIVERS: Final[Mapping[str, str]] = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "sqlite": "sqlite",
    "sqlserver": "mssql+pyodbc",
    "mssql": "mssql+pyodbc",
    "oracle": "oracle+oracledb",
    "sap": "hana+hdbcli",
    "hana": "hana+hdbcli",
}
"""The dialect and driver for each way in which databases are called."""
_SQL_SERVER: Final = re.compile(r"sqlserver://([^;/]+);?(.*)")
_ORACLE: Final = re.compile(r"oracle:thin:@(?://)?([^/]+)[:/](\w+)")

_SQLITE_PASSING: Final = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL))
_MYSQL_PASSING: Final = frozenset(
    (0, 1020, 1040, 1047, 1053, 1203, 1205, 1213, 1226, 1927, 2002, 2003, 2006, 2013, 2055)
)
"""Connections that are lost, refused for now or too many, locks and deadlocks."""
_STATES_PASSING: Final = frozenset(("08", "40", "53", "55", "57"))
"""Classes of SQLSTATE: connections, rolled back, too little of something, locks, an operator's doing."""
_REFUSED: Final = re.compile(r"FATAL: .*(does not exist|authentication failed|no pg_hba\.conf entry)")
"""PostgreSQL's words, without a code, for connections that it will not take later either."""


def connection_config() -> ConfigDef:
    """The settings of what every connection needs."""
    return (
        ConfigDef()
        .define("connection.url", ConfigType.PASSWORD, REQUIRED, Importance.HIGH,
                "The database: `postgresql://host/name`, `mariadb://host/name`, `sqlite:///file` and so on, "
                "or as JDBC has it (`jdbc:postgresql://host:5432/name`).",
                validator=NonEmptyString(), group="Database", order=1)
        .define("connection.user", ConfigType.STRING, None, Importance.HIGH, "Who connects.",
                group="Database", order=2)
        .define("connection.password", ConfigType.PASSWORD, None, Importance.HIGH, "That user's password.",
                group="Database", order=3)
    )  # fmt: skip


def database_url(text: str, user: str | None = None, password: str | None = None) -> URL:
    """SQLAlchemy's URL. Raises ConfigError, which tells no password, for what is none."""
    try:
        url = _plain(text.removeprefix("jdbc:"))
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError("connection.url is no URL of a database: postgresql://host:5432/name") from None
    query = dict(url.query)
    given_user, given_password = query.pop("user", None), query.pop("password", None)
    if url.drivername.split("+")[0] not in {name.split("+")[0] for name in _DRIVERS.values()}:
        known = ", ".join(sorted(_DRIVERS))
        raise ConfigError(f"connection.url is of a database {url.drivername!r}; there are {known}")
    kept = {
        name: value for name, value in query.items() if name in ("sslmode", "driver", "charset", "options")
    }
    return url.set(
        username=user or url.username or _one(given_user),
        password=password or url.password or _one(given_password),
        query=kept,
    )


def _one(given: str | tuple[str, ...] | None) -> str | None:
    return given[0] if isinstance(given, tuple) else given


def _plain(text: str) -> URL:
    server = _SQL_SERVER.fullmatch(text)
    if server is not None:
        properties = dict(parse_qsl(server[2].replace(";", "&")))
        return make_url(f"mssql+pyodbc://{server[1]}/{properties.get('databaseName', '')}")
    oracle = _ORACLE.fullmatch(text)
    if oracle is not None:
        return make_url(f"oracle+oracledb://{oracle[1]}/?service_name={oracle[2]}")
    if text.startswith("sqlite:") and not text.startswith("sqlite://"):
        return make_url(f"sqlite:///{text.removeprefix('sqlite:')}")
    url = make_url(text)
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def engine_of(settings: Settings) -> sa.Engine:
    """An engine that connects with the first use, and looks whether connections that it kept still work.

    Raises ConfigError for a URL that is none, or whose driver is not installed.
    """
    given, password = settings.secret("connection.url"), settings.secret("connection.password")
    url = database_url(
        "" if given is None else given.value,
        settings.optional_string("connection.user"),
        None if password is None else password.value,
    )
    try:
        return sa.create_engine(url, pool_pre_ping=True, pool_size=1)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise ConfigError(f"the driver of {url.drivername} is not installed: {error}") from error


def connect(engine: sa.Engine) -> sa.Connection:
    """Raises RetriableError, or TargetError."""
    try:
        return engine.connect()
    except sa.exc.SQLAlchemyError as error:
        failed = failure("connecting failed", error)
        raise failed if isinstance(failed, RetriableError) else TargetError(str(failed)) from error


def failure(what: str, error: sa.exc.SQLAlchemyError) -> ConnectError:
    """What to raise for a database's error: RetriableError for one that may pass."""
    original = getattr(error, "orig", None) or error
    text = f"{what}: {type(original).__name__}: {str(original).strip()}"
    return RetriableError(text) if _passes(error) else ConnectError(text)


def _passes(error: sa.exc.SQLAlchemyError) -> bool:
    """By the database's code where its driver tells one: drivers call nearly all errors operational."""
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, sa.exc.TimeoutError)
    if error.connection_invalidated:
        return True
    original = error.orig
    of_sqlite = getattr(original, "sqlite_errorcode", None)
    if of_sqlite is not None:
        return of_sqlite & 0xFF in _SQLITE_PASSING
    first = original.args[0] if original is not None and original.args else None
    if isinstance(first, int):
        return first in _MYSQL_PASSING
    state = getattr(original, "sqlstate", None)
    if state is not None:
        return state[:2] in _STATES_PASSING
    operational = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    return operational and not _REFUSED.search(str(original))
