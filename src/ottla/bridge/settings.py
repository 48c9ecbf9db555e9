"""Settings of the bridge: Strimzi's names where it has them, `ottla.bridge.*` for what is our own.

A file made for Strimzi's bridge may be given as it is: `kafka.*` are settings of the client,
`kafka.producer.*`, `kafka.consumer.*` and `kafka.admin.*` those of its parts.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ottla.client.errors import ConfigurationError
from ottla.client.settings import flag, number, optional_text, parse, secret, text
from ottla.http.memory import BODIES_MAX_BYTES

_CLIENT: Final = "kafka."
_PARTS: Final = ("producer", "consumer", "admin")
_SPELLED: Final = {
    "http.timeoutSeconds": "http.timeout.seconds",
    "http.cors.allowedOrigins": "http.cors.allowed.origins",
    "http.cors.allowedMethods": "http.cors.allowed.methods",
}
"""Strimzi's names with capitals"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BridgeSettings:
    """How one instance works."""

    bridge_id: str | None = optional_text()
    """What names of consumers begin with that the bridge makes up"""
    http_timeout_seconds: int = number(300, low=-1)
    """After which a consumer that nobody asks for is closed; -1: never"""
    http_consumer_enabled: bool = flag(True)
    http_producer_enabled: bool = flag(True)
    http_cors_enabled: bool = flag(False)
    http_cors_allowed_origins: str = text("*")
    """`*`, or a regular expression"""
    http_cors_allowed_methods: str = text("GET,POST,PUT,DELETE,OPTIONS,PATCH")
    http_ssl_enable: bool = flag(False)
    http_ssl_certificate_location: str | None = optional_text()
    http_ssl_key_location: str | None = optional_text()
    http_ssl_key_password: str | None = secret()

    ottla_bridge_authentication: str = text("none", choices=("none", "kafka"), fold=str.lower)
    """`kafka`: whoever asks is known to Kafka by the user and password that he shows"""
    ottla_bridge_principals_max: int = number(100, low=1)
    """Who are connected at the same time"""
    ottla_bridge_principals_idle_ms: int = number(300_000, low=1)
    """After which connections of one whom nobody asks as are closed"""
    ottla_bridge_request_max_bytes: int = number(8 * 1024 * 1024, low=1024)
    ottla_bridge_request_memory_max_bytes: int = number(BODIES_MAX_BYTES, low=1024)
    """Of the bodies of all requests that are under way"""
    ottla_bridge_connections_max: int = number(2_000, low=1)
    ottla_bridge_consumers_max: int = number(2_000, low=1)
    ottla_bridge_poll_max_ms: int = number(60_000, low=1)
    """How long a request may wait for records"""
    ottla_bridge_poll_max_bytes: int = number(32 * 1024 * 1024, low=1024)
    """Of records in one answer"""

    def __post_init__(self) -> None:
        if self.http_ssl_enable and not (self.http_ssl_certificate_location and self.http_ssl_key_location):
            raise ConfigurationError(
                "http.ssl.enable=true needs http.ssl.certificate.location and http.ssl.key.location"
            )
        try:
            if self.http_cors_allowed_origins != "*":
                re.compile(self.http_cors_allowed_origins)
        except re.error as error:
            raise ConfigurationError(
                f"http.cors.allowedOrigins={self.http_cors_allowed_origins!r}: {error}"
            ) from None


_CONSUMER: Final = {"fetch.max.bytes": 1 << 20, "queued.max.messages.kbytes": 1024}
"""What each consumer may hold, for there may be thousands"""


class Configuration(NamedTuple):
    """A file of properties by whom they are for."""

    bridge: BridgeSettings
    client: dict[str, object]
    producer: dict[str, object]
    consumer: dict[str, object]
    host: str | None
    port: int | None


def configuration(given: Mapping[str, object]) -> Configuration:
    """ConfigurationError for what there is not, or makes no sense."""
    parts: dict[str, dict[str, object]] = {name: {} for name in ("", *_PARTS)}
    own: dict[str, object] = {}
    for name, value in given.items():
        if not name.startswith(_CLIENT):
            own[_SPELLED.get(name, name)] = value
            continue
        part, _, rest = name.removeprefix(_CLIENT).partition(".")
        if part in _PARTS:
            parts[part][rest] = value
        else:
            parts[""][name.removeprefix(_CLIENT)] = value
    host, port = own.pop("http.host", None), own.pop("http.port", None)
    return Configuration(
        parse(BridgeSettings, own),
        parts["admin"] | parts[""],
        parts["producer"],
        _CONSUMER | parts["consumer"],
        None if host is None else str(host),
        None if port is None else _port(str(port)),
    )


def _port(text_: str) -> int:
    if not text_.isdecimal() or int(text_) > 0xFFFF:
        raise ConfigurationError(f"http.port={text_!r}: must be between 0 and 65535")
    return int(text_)
