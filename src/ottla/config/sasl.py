"""The keys of SASL, and what they come to for one listener."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ottla.config.definition import (
    BOOLEAN,
    CLASS,
    INT,
    LIST,
    LONG,
    PASSWORD,
    STRING,
    ConfigDef,
    ConfigError,
    UpdateMode,
    at_least,
    list_of,
)
from ottla.identity.jaas import OAUTH_LOGIN, PLAIN_LOGIN, SCRAM_LOGIN, parse_jaas

_PER_BROKER: Final = UpdateMode.PER_BROKER
PRINCIPAL_BUILDER: Final = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"
_LOGINS: Final = {
    "PLAIN": PLAIN_LOGIN,
    "SCRAM-SHA-256": SCRAM_LOGIN,
    "SCRAM-SHA-512": SCRAM_LOGIN,
    "OAUTHBEARER": OAUTH_LOGIN,
}

SASL_KEYS = (
    ConfigDef(
        "sasl.enabled.mechanisms",
        LIST,
        ("GSSAPI",),
        f"How clients of SASL listeners may say who they are: any of {', '.join(_LOGINS)}. GSSAPI, Kafka's "
        "default, is not there.",
        list_of(),
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "sasl.jaas.config",
        PASSWORD,
        None,
        "For each mechanism, as `listener.name.NAME.MECHANISM.sasl.jaas.config`: the login module with its "
        'options. `user_NAME="PASSWORD"` are those whom PLAIN lets in; `username` and `password` are as whom '
        "this broker comes to others.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "sasl.mechanism.inter.broker.protocol",
        STRING,
        "GSSAPI",
        "How this broker tells others who it is, where their listener asks.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "sasl.server.max.receive.size",
        INT,
        512 * 1024,
        "The largest frame in bytes of a client that has not proved who it is.",
    ),
    ConfigDef(
        "connections.max.reauth.ms",
        LONG,
        0,
        "How long a client may go on before it has to prove again who it is (KIP-368); 0 for as long as it "
        "stays.",
    ),
    ConfigDef(
        "connection.failed.authentication.delay.ms",
        INT,
        100,
        "How long a client that failed waits for the answer, and for its connection to be closed.",
        at_least(0),
    ),
    ConfigDef(
        "principal.builder.class",
        CLASS,
        PRINCIPAL_BUILDER,
        "What makes a principal of what a client proved; there is only Kafka's own, with its rules.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "sasl.oauthbearer.jwks.endpoint.url",
        STRING,
        None,
        "The keys that tokens of OAUTHBEARER are signed by: a JWKS at a `file:` or `https:` URL. "
        "Needs `ottla[security]`.",
    ),
    ConfigDef(
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        LONG,
        3_600_000,
        "How often the keys are read anew; a token of an unknown key has it done as well.",
    ),
    ConfigDef(
        "sasl.oauthbearer.expected.issuer",
        STRING,
        None,
        "Who must have issued a token (`iss`); null for anybody.",
    ),
    ConfigDef(
        "sasl.oauthbearer.expected.audience",
        LIST,
        (),
        "Whom a token must be meant for (`aud`), one of these; empty for anybody.",
        list_of(),
    ),
    ConfigDef(
        "sasl.oauthbearer.clock.skew.seconds",
        INT,
        30,
        "How far the clock of who issues tokens may be from this one.",
    ),
    ConfigDef(
        "sasl.oauthbearer.sub.claim.name", STRING, "sub", "The claim of a token that names the principal."
    ),
    ConfigDef(
        "ottla.sasl.oauthbearer.groups.claim.name",
        STRING,
        None,
        "The claim of a token that names the groups of the principal, a list or one; with dots, one inside "
        "others (`realm_access.roles`). ACLs and roles know each as `Group:NAME`.",
    ),
    ConfigDef(
        "sasl.oauthbearer.scope.claim.name", STRING, "scope", "The claim of a token that has its scopes."
    ),
    ConfigDef(
        "sasl.oauthbearer.allow.unverified.issuer",
        BOOLEAN,
        False,
        "Whether it is allowed to set no `sasl.oauthbearer.expected.issuer`.",
    ),
    ConfigDef(
        "sasl.oauthbearer.allow.unverified.audience",
        BOOLEAN,
        False,
        "Whether it is allowed to set no `sasl.oauthbearer.expected.audience`.",
    ),
    ConfigDef(
        "ottla.authentication.timeout.ms",
        INT,
        30_000,
        "A connection to a SASL listener that has not proved who it is within this time is closed.",
        at_least(1),
    ),
)


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """What is asked of the tokens of OAUTHBEARER."""

    jwks_endpoint_url: str
    jwks_endpoint_refresh_ms: int
    expected_issuer: str | None
    expected_audience: tuple[str, ...]
    clock_skew_seconds: int
    sub_claim_name: str
    scope_claim_name: str
    groups_claim_name: str | None


@dataclass(frozen=True, kw_only=True, repr=False)
class SaslSettings:
    """Of one listener. Its passwords are in no `repr`."""

    mechanisms: tuple[str, ...]
    users: Mapping[str, str]
    """Passwords by name, for PLAIN"""
    tokens: TokenSettings | None
    """Where OAUTHBEARER is one of the mechanisms"""
    max_reauth_ms: Mapping[str, int]
    """By mechanism; 0 for none"""
    max_receive_bytes: int
    inter_broker_mechanism: str
    inter_broker_login: tuple[str, str] | None
    """As whom this broker comes to others, and the password"""


def sasl_settings(value: Callable[..., Any], listener: str) -> SaslSettings:
    """`value` gives each key as the listener, or one mechanism of it, has it. Raises ConfigError for what
    cannot be meant.
    """
    mechanisms = value("sasl.enabled.mechanisms")
    for mechanism in mechanisms:
        if mechanism not in _LOGINS:
            raise ConfigError(
                f"Invalid value {mechanism} for configuration sasl.enabled.mechanisms of {listener}: "
                f"what there is: {', '.join(_LOGINS)}",
                "sasl.enabled.mechanisms",
            )
    if not mechanisms:
        raise ConfigError(f"listener {listener} asks for SASL and needs sasl.enabled.mechanisms")
    logins = {each: _options(value, listener, each) for each in _LOGINS}
    if "PLAIN" in mechanisms and logins["PLAIN"] is None:
        key = jaas_key(listener, "PLAIN")
        raise ConfigError(
            f'{key} is needed: {PLAIN_LOGIN} required user_NAME="PASSWORD" ...;', "sasl.jaas.config"
        )
    inter_broker = value("sasl.mechanism.inter.broker.protocol")
    login = logins.get(inter_broker) or {}
    return SaslSettings(
        mechanisms=mechanisms,
        users={
            name.removeprefix("user_"): password
            for name, password in (logins["PLAIN"] or {}).items()
            if name.startswith("user_")
        },
        tokens=_token_settings(value, listener) if "OAUTHBEARER" in mechanisms else None,
        max_reauth_ms={each: value("connections.max.reauth.ms", each) for each in mechanisms},
        max_receive_bytes=value("sasl.server.max.receive.size"),
        inter_broker_mechanism=inter_broker,
        inter_broker_login=(login["username"], login["password"])
        if {"username", "password"} <= login.keys()
        else None,
    )


def _token_settings(value: Callable[..., Any], listener: str) -> TokenSettings:
    def of(name: str) -> Any:
        return value(f"sasl.oauthbearer.{name}", "OAUTHBEARER")

    key = "sasl.oauthbearer.jwks.endpoint.url"
    if of("jwks.endpoint.url") is None:
        raise ConfigError(f"{key} is needed by listener {listener}: an unsigned token is nobody's", key)
    theirs = [name for name in TokenSettings.__dataclass_fields__ if name != "groups_claim_name"]
    settings = TokenSettings(
        **{name: of(name.replace("_", ".")) for name in theirs},
        groups_claim_name=value("ottla.sasl.oauthbearer.groups.claim.name", "OAUTHBEARER") or None,
    )
    for what, given in (("issuer", settings.expected_issuer), ("audience", settings.expected_audience)):
        if not given and not of(f"allow.unverified.{what}"):
            key = f"sasl.oauthbearer.expected.{what}"
            raise ConfigError(
                f"{key} is needed by listener {listener}, or sasl.oauthbearer.allow.unverified.{what}=true",
                key,
            )
    return settings


def jaas_key(listener: str, mechanism: str) -> str:
    return f"listener.name.{listener.lower()}.{mechanism.lower()}.sasl.jaas.config"


def _options(value: Callable[..., Any], listener: str, mechanism: str) -> Mapping[str, str] | None:
    """Of the mechanism's login module; None where none is given."""
    text = value("sasl.jaas.config", mechanism, is_own=True)
    if text is None:
        return None
    key = jaas_key(listener, mechanism)
    try:
        module, options = parse_jaas(text)
    except ValueError as error:
        raise ConfigError(f"{key}=[hidden]: {error}", "sasl.jaas.config") from None
    if module != _LOGINS[mechanism]:
        raise ConfigError(f"{key}: {mechanism} takes {_LOGINS[mechanism]} alone", "sasl.jaas.config")
    return options
