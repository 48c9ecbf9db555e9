"""The keys of where a cluster's metadata is; their checks."""

from __future__ import annotations

from dataclasses import dataclass

from ottla.config.definition import INT, PASSWORD, STRING, ConfigDef, ConfigError, Values, at_least

STORE_KEYS = (
    ConfigDef(
        "ottla.metadata.store",
        STRING,
        None,
        "Where the cluster's metadata is: `etcd://HOST:PORT[,HOST:PORT ...]/CLUSTER`, the same for all its "
        "brokers. Not set, this broker is alone and keeps it in its data folder.",
    ),
    ConfigDef(
        "ottla.metadata.store.timeout.ms",
        INT,
        10_000,
        "How long etcd's members are asked, one after another, before a change or a read fails.",
        at_least(100),
    ),
    ConfigDef(
        "ottla.metadata.store.attempt.timeout.ms",
        INT,
        1_500,
        "How long one member of etcd may take before the next is asked.",
        at_least(50),
    ),
    ConfigDef("ottla.metadata.store.username", STRING, None, "The user that etcd knows this broker as."),
    ConfigDef("ottla.metadata.store.password", PASSWORD, None, "That user's password."),
    ConfigDef(
        "ottla.metadata.store.tls.ca",
        STRING,
        None,
        "A PEM file of the authorities that etcd's certificates come from; with it, or a certificate, the "
        "connection is encrypted.",
    ),
    ConfigDef(
        "ottla.metadata.store.tls.certificate",
        STRING,
        None,
        "A PEM file of this broker's certificate, where etcd asks for one.",
    ),
    ConfigDef("ottla.metadata.store.tls.key", STRING, None, "A PEM file of that certificate's key."),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StoreConfig:
    """Where the metadata is, and how to come in."""

    ottla_metadata_store: str | None
    ottla_metadata_store_timeout_ms: int
    ottla_metadata_store_attempt_timeout_ms: int
    ottla_metadata_store_username: str | None
    ottla_metadata_store_password: str | None
    ottla_metadata_store_tls_ca: str | None
    ottla_metadata_store_tls_certificate: str | None
    ottla_metadata_store_tls_key: str | None


def check_store(value: Values) -> None:
    """Raises ConfigError for keys that need one another."""
    for name, other in (
        ("ottla.metadata.store.password", "ottla.metadata.store.username"),
        ("ottla.metadata.store.tls.certificate", "ottla.metadata.store.tls.key"),
        ("ottla.metadata.store.tls.key", "ottla.metadata.store.tls.certificate"),
    ):
        if value(name) is not None and value(other) is None:
            raise ConfigError(f"{name} needs {other}")
