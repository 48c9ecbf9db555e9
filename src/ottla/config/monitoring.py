"""The keys of what a broker shows of itself."""

from __future__ import annotations

from dataclasses import dataclass

from ottla.config.definition import STRING, ConfigDef, ConfigError, Values, one_of

MONITORING_KEYS = (
    ConfigDef(
        "ottla.log.format",
        STRING,
        "text",
        "How `ottla serve` logs to standard error: `text`, or `json` for an object a line.",
        one_of("text", "json"),
    ),
    ConfigDef(
        "ottla.metrics.listener",
        STRING,
        None,
        "`HOST:PORT` where the broker shows its metrics (`/metrics`) and whether it lives and serves "
        "(`/livez`, `/readyz`) over HTTP; port 0 is a free one. It asks nobody who he is: let only your "
        "own machines reach it.",
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MonitoringConfig:
    """Where a broker shows its metrics, and how it logs."""

    ottla_log_format: str
    ottla_metrics_listener: str | None


def check_monitoring(value: Values) -> None:
    """Raises ConfigError for an address that is none."""
    metrics_address(value("ottla.metrics.listener"))


def metrics_address(text: str | None) -> tuple[str, int] | None:
    """Host and port of `ottla.metrics.listener`. Raises ConfigError."""
    if text is None:
        return None
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ConfigError(
            f"Invalid value {text} for configuration ottla.metrics.listener: expected HOST:PORT, such as "
            "127.0.0.1:9404",
            "ottla.metrics.listener",
        )
    return host, int(port)
