"""The keys of subscriptions to the metrics of clients (KIP-714), and of where these go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ottla.config.definition import (
    INT,
    LIST,
    PASSWORD,
    STRING,
    ConfigDef,
    ConfigError,
    Values,
    at_least,
    by_name,
    list_of,
)

INTERVAL_MS: Final = "interval.ms"

CLIENT_METRICS_CONFIGS: Mapping[str, ConfigDef] = by_name(
    (
        ConfigDef(
            "metrics", LIST, (), "The metrics to send, by prefixes of their names; `*` for all.", list_of()
        ),
        ConfigDef(INTERVAL_MS, INT, 300_000, "How often to send them, from 100 to 3,600,000."),
        ConfigDef(
            "match",
            LIST,
            (),
            "The clients that are meant: `ATTRIBUTE=REGULAR EXPRESSION` of `client_instance_id`, "
            "`client_id`, `client_software_name`, `client_software_version`, `client_source_address` and "
            "`client_source_port`; none for all.",
            list_of(),
        ),
    )
)

TELEMETRY_KEYS = (
    ConfigDef(
        "telemetry.max.bytes",
        INT,
        1024 * 1024,
        "What a client may send of its metrics at a time, compressed.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.telemetry.otlp.endpoint",
        STRING,
        None,
        "Where the metrics of clients (KIP-714) are sent, as OTLP over HTTP: "
        "`http://collector:4318/v1/metrics`. Without it clients are not asked for any.",
    ),
    ConfigDef(
        "ottla.telemetry.otlp.headers",
        PASSWORD,
        None,
        "Headers of HTTP for that endpoint: `name=value,name=value`.",
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TelemetryConfig:
    """Where the metrics of clients go."""

    telemetry_max_bytes: int
    ottla_telemetry_otlp_endpoint: str | None
    ottla_telemetry_otlp_headers: str | None


def check_telemetry(value: Values) -> None:
    """Raises ConfigError for an endpoint that is none, and for headers that are none."""
    endpoint = value("ottla.telemetry.otlp.endpoint")
    if endpoint is not None:
        from urllib.parse import urlsplit  # 0.3 MB that a broker without it does not need

        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            key = "ottla.telemetry.otlp.endpoint"
            raise ConfigError(f"Invalid value {endpoint} for configuration {key}: expected an http URL", key)
    otlp_headers(value("ottla.telemetry.otlp.headers"))


def otlp_headers(text: str | None) -> dict[str, str]:
    """Of `ottla.telemetry.otlp.headers`. Raises ConfigError."""
    pairs = [each.partition("=") for each in (text or "").split(",") if each.strip()]
    if not all(name.strip() and equals and value.isprintable() for name, equals, value in pairs):
        key = "ottla.telemetry.otlp.headers"
        raise ConfigError(f"Invalid value [hidden] for configuration {key}: expected name=value,...", key)
    return {name.strip(): value.strip() for name, _, value in pairs}
