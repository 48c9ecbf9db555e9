"""The keys of TLS, and what they come to for one listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ottla.config.definition import (
    INT,
    LIST,
    PASSWORD,
    STRING,
    ConfigDef,
    ConfigError,
    UpdateMode,
    at_least,
    list_of,
    one_of,
)

_PER_BROKER: Final = UpdateMode.PER_BROKER
PROTOCOLS: Final = ("TLSv1.2", "TLSv1.3")
_OLD_PROTOCOLS: Final = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1")

TLS_KEYS = (
    ConfigDef(
        "ssl.keystore.location",
        STRING,
        None,
        "The file with its key and certificate: PEM, or PKCS12 (which needs `ottla[security]`): what "
        "it is is seen in it. A changed file is taken up while the broker runs.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.keystore.password",
        PASSWORD,
        None,
        "The password of a PKCS12 key store.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.keystore.key",
        PASSWORD,
        None,
        "The private key itself, in PEM; with `ssl.keystore.certificate.chain`.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.keystore.certificate.chain",
        PASSWORD,
        None,
        "The broker's certificate and those of the authorities between, in PEM; with `ssl.keystore.key`.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.key.password",
        PASSWORD,
        None,
        "The password of an encrypted private key.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.truststore.location",
        STRING,
        None,
        "The file with the authorities whose certificates are believed: PEM or PKCS12. Without it and "
        "`ssl.truststore.certificates`: those of the system.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.truststore.password",
        PASSWORD,
        None,
        "The password of a PKCS12 trust store.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.truststore.certificates",
        PASSWORD,
        None,
        "The certificates of the authorities themselves, in PEM.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.client.auth",
        STRING,
        "none",
        "Whether clients show a certificate: `required`, `requested`, or `none`. On a SASL_SSL listener it "
        "counts only behind `listener.name.NAME.`.",
        one_of("required", "requested", "none"),
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.principal.mapping.rules",
        STRING,
        "DEFAULT",
        "Who the subject of a client's certificate is: `RULE:pattern/replacement/[LU]`, the first that fits; "
        "`DEFAULT` is the whole name.",
    ),
    ConfigDef(
        "ssl.enabled.protocols",
        LIST,
        PROTOCOLS,
        "The versions of TLS that are spoken.",
        list_of(),
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.cipher.suites",
        LIST,
        (),
        "The cipher suites that are spoken, by Java's names or OpenSSL's; empty for OpenSSL's own choice. "
        "Those of TLS 1.3 are all there while that is spoken.",
        list_of(),
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ssl.endpoint.identification.algorithm",
        STRING,
        "https",
        "`https` has the names in another broker's certificate compared with its address; empty does not.",
        update_mode=_PER_BROKER,
    ),
    ConfigDef(
        "ottla.tls.handshake.timeout.ms",
        INT,
        10_000,
        "A connection whose TLS handshake takes longer is closed.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.tls.files.check.ms",
        INT,
        10_000,
        "How often it is looked whether the files of certificates have changed.",
        at_least(10),
    ),
)


@dataclass(frozen=True, kw_only=True, repr=False)
class TlsSettings:
    """Of one listener. Its passwords and keys are in no `repr`."""

    keystore_location: str | None
    keystore_password: str | None
    keystore_key: str | None
    keystore_certificate_chain: str | None
    key_password: str | None
    truststore_location: str | None
    truststore_password: str | None
    truststore_certificates: str | None
    client_auth: str
    principal_mapping_rules: str
    enabled_protocols: tuple[str, ...]
    cipher_suites: tuple[str, ...]
    endpoint_identification_algorithm: str


def tls_settings(value: Callable[[str], Any], listener: str) -> TlsSettings:
    """`value` gives each key as the listener has it. Raises ConfigError for what cannot be meant."""
    settings = TlsSettings(
        **{field: value(f"ssl.{field.replace('_', '.')}") for field in TlsSettings.__dataclass_fields__}
    )
    if (settings.keystore_key is None) != (settings.keystore_certificate_chain is None):
        raise ConfigError(
            "ssl.keystore.key and ssl.keystore.certificate.chain are only used together", "ssl.keystore.key"
        )
    if settings.keystore_location is not None and settings.keystore_key is not None:
        raise ConfigError(
            "only one of ssl.keystore.location and ssl.keystore.key may be set", "ssl.keystore.location"
        )
    if settings.keystore_location is None and settings.keystore_key is None:
        raise ConfigError(
            f"listener {listener} speaks TLS and needs ssl.keystore.location: a PEM file of its key and "
            "certificate, or PKCS12",
            "ssl.keystore.location",
        )
    if settings.truststore_location is not None and settings.truststore_certificates is not None:
        raise ConfigError(
            "only one of ssl.truststore.location and ssl.truststore.certificates may be set",
            "ssl.truststore.location",
        )
    spoken = [name for name in settings.enabled_protocols if name in PROTOCOLS]
    unknown = set(settings.enabled_protocols) - {*PROTOCOLS, *_OLD_PROTOCOLS}
    if unknown or not spoken:
        raise ConfigError(
            f"Invalid value {','.join(settings.enabled_protocols)} for configuration ssl.enabled.protocols: "
            f"any of {', '.join(PROTOCOLS)}",
            "ssl.enabled.protocols",
        )
    return settings
