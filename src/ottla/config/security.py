"""The keys of who may do what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ottla.config.definition import BOOLEAN, STRING, ConfigDef, ConfigError

STANDARD_AUTHORIZER: Final = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

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
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SecurityConfig:
    """What the authorizer is set up by."""

    authorizer_class_name: str
    super_users: str
    allow_everyone_if_no_acl_found: bool


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
