"""A client by its URI, and whether an error of its may pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ottla.connect.connectors.base import needs
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, RetriableError
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

__all__ = ["client_of", "connection_config", "guarded", "place_of", "set_up"]

_REFUSED: Final = frozenset((13, 18, 8000))
"""Codes: not authorized, authentication failed, and Atlas' for both"""
_PASSING: Final = frozenset((
    6, 7, 89, 91, 112, 133, 134, 189, 262, 317, 358, 9001, 10107, 11600, 11602, 13388, 13435, 13436, 14031,
))  # fmt: skip
"""Codes: hosts that are not reached, primaries that change, conflicts, disks that are full"""


def connection_config() -> ConfigDef:
    """The settings of what every connection needs."""
    return (
        ConfigDef()
        .define("connection.uri", ConfigType.PASSWORD, "mongodb://localhost:27017", Importance.HIGH,
                "The servers: `mongodb://user:password@host:port/?options`, or `mongodb+srv://host`.",
                group="Connection", order=1)
        .define("database", ConfigType.STRING, "", Importance.HIGH, "The database.",
                group="Connection", order=2)
        .define("collection", ConfigType.STRING, "", Importance.HIGH, "The collection.",
                group="Connection", order=3)
        .define("server.selection.timeout.ms", ConfigType.INT, 30_000, Importance.LOW,
                "How long a server may take to be found.",
                validator=AtLeast(1), group="Connection", order=4)
    )  # fmt: skip


def client_of(settings: Settings) -> MongoClient[dict[str, Any]]:
    """A client that connects with the first use. Raises ConfigError, which tells no password."""
    try:
        import pymongo
        from pymongo.errors import ConfigurationError, InvalidURI
    except ImportError as error:
        raise needs("pymongo", "connect-mongodb", error) from error
    try:
        return pymongo.MongoClient(
            _uri(settings),
            tz_aware=True,
            serverSelectionTimeoutMS=settings.integer("server.selection.timeout.ms"),
            retryWrites=False,  # whoever is given a RetriableError writes again
        )
    except (ConfigurationError, InvalidURI, ValueError, TypeError) as error:
        text = str(error).replace(_uri(settings), "...")
        raise ConfigError(
            f"connection.uri is no URI of MongoDB's ({text}): mongodb://user:password@host:27017"
        ) from None


def _uri(settings: Settings) -> str:
    uri = settings.secret("connection.uri")
    return "" if uri is None else uri.value


def place_of(settings: Settings) -> str:
    """Hosts, database and collection, without who connects: a source partition's name."""
    hosts = urlsplit(_uri(settings)).netloc.rpartition("@")[2]
    names = [name for name in (settings.string("database"), settings.string("collection")) if name]
    return f"mongodb://{hosts}/{'.'.join(names)}"


def set_up(settings: Settings) -> None:
    """For validation: whether there can be a client."""
    client_of(settings).close()


def failure(what: str, error: PyMongoError) -> ConnectError:
    """What to raise: RetriableError for what may pass, TargetError where this one may not come in."""
    from pymongo import errors as of_mongo

    text = f"{what}: {type(error).__name__}: {str(error)[:500]}"
    code = error.code if isinstance(error, of_mongo.OperationFailure) else None
    if code in _REFUSED:
        return TargetError(text)
    is_passing = isinstance(error, of_mongo.ConnectionFailure | of_mongo.WaitQueueTimeoutError)
    labelled = error.has_error_label("RetryableWriteError") or error.has_error_label(
        "TransientTransactionError"
    )
    return RetriableError(text) if is_passing or labelled or code in _PASSING else ConnectError(text)


def passes(code: object) -> bool:
    """Whether a write that failed with this code may succeed later."""
    return code in _PASSING


@contextlib.contextmanager
def guarded(what: str) -> Iterator[None]:
    """Errors of the library as Connect's."""
    from pymongo.errors import PyMongoError

    try:
        yield
    except PyMongoError as error:
        raise failure(what, error) from error
