"""The keys of who may do what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ottla.config.definition import (
    BOOLEAN,
    LONG,
    PASSWORD,
    STRING,
    ConfigDef,
    ConfigError,
    at_least,
    matching,
    not_empty,
)

STANDARD_AUTHORIZER: Final = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

_NOT_FOR_AUDIT: Final = r"\.{1,2}|__(consumer_offsets|transaction_state|share_group_state|cluster_metadata)"

SECURITY_KEYS = (
    ConfigDef(
        "authorizer.class.name",
        STRING,
        "",
        f"Who judges by the ACLs what clients may do: `{STANDARD_AUTHORIZER}`, Kafka's name for it; without "
        "it everybody may do everything.",
    ),
    ConfigDef(
        "super.users",
        STRING,
        "",
        "Who may do everything whatever the ACLs say, separated by semicolons: `User:alice;User:admin`.",
    ),
    ConfigDef(
        "allow.everyone.if.no.acl.found",
        BOOLEAN,
        False,
        "Whether everybody may do everything with what no ACL speaks of.",
    ),
    ConfigDef(
        "delegation.token.secret.key",
        PASSWORD,
        None,
        "What delegation tokens (KIP-48) are made with, the same on all brokers; without it there are none.",
    ),
    ConfigDef(
        "delegation.token.max.lifetime.ms",
        LONG,
        7 * 24 * 3_600_000,
        "How long a delegation token lives at most, however often it is renewed.",
        at_least(1),
    ),
    ConfigDef(
        "delegation.token.expiry.time.ms",
        LONG,
        24 * 3_600_000,
        "How long a delegation token lives without being renewed.",
        at_least(1),
    ),
    ConfigDef(
        "delegation.token.expiry.check.interval.ms",
        LONG,
        3_600_000,
        "How often delegation tokens are removed that have expired.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.audit.log",
        STRING,
        None,
        "Where denials, failed attempts to log in and administrative changes are written to, an object of "
        "JSON a line: `stderr`, or the path of a file, which is opened anew when it was moved away.",
        not_empty(),
    ),
    ConfigDef(
        "ottla.audit.topic",
        STRING,
        None,
        "The topic that the same is written to, such as `_ottla_audit_log`; it is made, with one partition, "
        "when there is something to be written.",
        matching(rf"(?!({_NOT_FOR_AUDIT})$)[a-zA-Z0-9._-]{{1,249}}", "the name of a topic of its own"),
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SecurityConfig:
    """What the authorizer is set up by."""

    authorizer_class_name: str
    super_users: str
    allow_everyone_if_no_acl_found: bool


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TokenConfig:
    """Delegation tokens."""

    delegation_token_secret_key: str | None
    delegation_token_max_lifetime_ms: int
    delegation_token_expiry_time_ms: int
    delegation_token_expiry_check_interval_ms: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AuditConfig:
    """Where it is written who was refused, and who changed what."""

    ottla_audit_log: str | None
    ottla_audit_topic: str | None


def check_security(value: Callable[[str], Any]) -> None:
    """Refuse authorizers that are not there, and super users that are no principals."""
    authorizer = value("authorizer.class.name")
    if authorizer not in ("", STANDARD_AUTHORIZER):
        raise ConfigError(
            f"{authorizer} cannot be loaded; {STANDARD_AUTHORIZER} is what judges by ACLs",
            "authorizer.class.name",
        )
    for user in super_users(value("super.users")):
        kind, colon, name = user.partition(":")
        if not (kind and colon and name):
            raise ConfigError(f"{user!r} is no principal such as User:alice", "super.users")


def super_users(text: str) -> tuple[str, ...]:
    """The principals that the value of `super.users` names."""
    return tuple(user for each in text.split(";") if (user := each.strip()))
