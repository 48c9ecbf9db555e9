"""A client by the settings that all of Redis' connectors share, and whether an error of its may pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from ottla.connect.connectors.base import needs
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, RetriableError
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, NonEmptyString

Client: TypeAlias = Any
"""redis.Redis or redis.RedisCluster, whose types do not agree with each other"""

__all__ = ["RENAMES", "Client", "client_of", "connection_config", "guarded", "is_passing", "set_up"]

RENAMES: Final[Mapping[str, str]] = {
    "redis.hosts": "redis.uri",
    "redis.ssl.enabled": "redis.tls",
    "redis.operation.timeout.ms": "redis.timeout",
}
"""As other connectors for Redis call these settings"""


def connection_config() -> ConfigDef:
    """The settings of what every connection needs."""
    return (
        ConfigDef()
        .define("redis.uri", ConfigType.PASSWORD, "redis://localhost:6379", Importance.HIGH,
                "The server: `redis://user:password@host:port/database`, `rediss://` with TLS, or "
                "`host:port`; without it the one at `localhost:6379`.",
                validator=NonEmptyString(), group="Redis", order=1)
        .define("redis.username", ConfigType.STRING, None, Importance.MEDIUM, "Who connects.",
                group="Redis", order=2)
        .define("redis.password", ConfigType.PASSWORD, None, Importance.HIGH, "That user's password.",
                group="Redis", order=3)
        .define("redis.database", ConfigType.INT, None, Importance.MEDIUM,
                "The number of the database, where the URI has none.",
                group="Redis", order=4)
        .define("redis.cluster.enabled", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether the server is one of a cluster.",
                group="Redis", order=5)
        .define("redis.tls", ConfigType.BOOLEAN, False, Importance.MEDIUM, "TLS, as with `rediss://`.",
                group="Redis", order=6)
        .define("redis.insecure", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether certificates that nobody known has signed are taken.",
                group="Redis", order=7)
        .define("redis.cacert", ConfigType.STRING, None, Importance.LOW,
                "A file with the authorities whose signatures count (PEM).",
                group="Redis", order=8)
        .define("redis.timeout", ConfigType.INT, 60_000, Importance.LOW,
                "How many milliseconds an answer may take.",
                validator=AtLeast(1), group="Redis", order=9)
    )  # fmt: skip


def client_of(settings: Settings) -> Client:
    """A client that connects with the first use. Raises ConfigError, which tells no password."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise needs("redis", "connect-redis", error) from error
    uri, tls = settings.secret("redis.uri"), settings.boolean("redis.tls")
    first = "" if uri is None else uri.value.split(",")[0]
    if "://" not in first:
        first = f"redis://{first}"
    if tls and first.startswith("redis://"):
        first = f"rediss://{first.removeprefix('redis://')}"
    password, database = settings.secret("redis.password"), settings.optional_integer("redis.database")
    timeout_s = settings.integer("redis.timeout") / 1000
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),  # whoever is given a RetriableError tries again
        "username": settings.optional_string("redis.username"),
        "password": None if password is None else password.value,
        "db": database,
        "ssl_ca_certs": settings.optional_string("redis.cacert"),
    }
    options = {name: value for name, value in options.items() if value is not None}
    if first.startswith("rediss://") and settings.boolean("redis.insecure"):
        options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    if not first.startswith("rediss://"):
        options.pop("ssl_ca_certs", None)
    kind = redis.RedisCluster if settings.boolean("redis.cluster.enabled") else redis.Redis
    try:
        with guarded("connecting to Redis failed"):
            return kind.from_url(
                first, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, protocol=2, **options
            )
    except ValueError:  # whose text may have a part of the password
        raise ConfigError("redis.uri is no URI of a server: redis://host:6379/0") from None


def set_up(settings: Settings) -> None:
    """For validation: whether there can be a client."""
    if not settings.boolean("redis.cluster.enabled"):  # whose client connects at once
        client_of(settings).close()


def is_passing(error: Exception) -> bool:
    """Whether a server may take later what it did not take now."""
    from redis import exceptions as of_redis

    if isinstance(error, of_redis.AuthenticationError):  # is a ConnectionError, too
        return False
    return isinstance(
        error,
        of_redis.ConnectionError | of_redis.TimeoutError | of_redis.BusyLoadingError | of_redis.TryAgainError
        | of_redis.ClusterDownError | of_redis.MasterDownError | of_redis.ReadOnlyError
        | of_redis.OutOfMemoryError | of_redis.ClusterError | of_redis.ExecAbortError | OSError,
    )  # fmt: skip


@contextlib.contextmanager
def guarded(what: str) -> Iterator[None]:
    """Errors of the library as Connect's: RetriableError for one that may pass, TargetError where the server
    will not let this one in.
    """
    from redis import exceptions as of_redis

    try:
        yield
    except (of_redis.RedisError, OSError) as error:
        text = f"{what}: {type(error).__name__}: {error}"
        if is_passing(error):
            raise RetriableError(text) from error
        if isinstance(error, of_redis.AuthenticationError | of_redis.NoPermissionError):
            raise TargetError(text) from error
        raise ConnectError(text) from error
