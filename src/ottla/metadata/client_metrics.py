"""Subscriptions to the metrics of clients (KIP-714): what is asked of which clients, and how often."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ottla.config.client_metrics import CLIENT_METRICS_CONFIGS, INTERVAL_MS
from ottla.config.definition import ConfigError
from ottla.protocol.errors import ErrorCode, KafkaError

_INTERVALS_MS: Final = range(100, 3_600_001)
_ATTRIBUTES: Final = frozenset(
    {
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    }
)


class Subscription(NamedTuple):
    """One resource of type CLIENT_METRICS."""

    metrics: tuple[str, ...]
    """Prefixes of names; `*` alone for all"""
    interval_ms: int
    match: Mapping[str, re.Pattern[str]]
    """What each attribute of a client has to be as a whole"""

    def is_for(self, attributes: Mapping[str, str]) -> bool:
        return all(
            name in attributes and pattern.fullmatch(attributes[name]) for name, pattern in self.match.items()
        )


def subscription(values: Mapping[str, str]) -> Subscription:
    """Of a resource's settings. Raises KafkaError: invalid_request, invalid_config."""
    for name in values:
        if name not in CLIENT_METRICS_CONFIGS:
            raise KafkaError(ErrorCode.invalid_request, f"Unknown client metrics configuration: {name}")
    try:
        parsed = {
            name: definition.parse(values[name]) if name in values else definition.default
            for name, definition in CLIENT_METRICS_CONFIGS.items()
        }
    except ConfigError as error:
        raise KafkaError(ErrorCode.invalid_config, error.message) from None
    metrics, interval_ms, match = parsed["metrics"], parsed[INTERVAL_MS], parsed["match"]
    assert isinstance(interval_ms, int)
    assert isinstance(metrics, tuple)
    assert isinstance(match, tuple)
    if interval_ms not in _INTERVALS_MS:
        raise KafkaError(
            ErrorCode.invalid_request,
            f"Invalid value {interval_ms} for {INTERVAL_MS}, interval must be between 100 and 3600000 "
            "(1 hour)",
        )
    return Subscription(metrics, interval_ms, dict(map(_pattern, match)))


def _pattern(text: str) -> tuple[str, re.Pattern[str]]:
    name, equals, pattern = text.partition("=")
    try:
        if not equals or name.strip() not in _ATTRIBUTES or not pattern or "=" in pattern:
            raise ValueError(text)
        return name.strip(), re.compile(pattern.strip())
    except (ValueError, re.error, RecursionError, OverflowError):
        raise KafkaError(ErrorCode.invalid_config, f"Illegal client matching pattern: {text}") from None
