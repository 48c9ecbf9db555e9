"""A consumer group's own configuration (KIP-848), typed, over the broker's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ottla.config.broker import BrokerConfig
from ottla.config.definition import ConfigDef, ConfigError
from ottla.config.group_keys import GROUP_CONFIGS


class GroupConfig(NamedTuple):
    consumer_heartbeat_interval_ms: int
    consumer_session_timeout_ms: int


def group_config(overrides: Mapping[str, str], broker: BrokerConfig) -> GroupConfig:
    """The group's configuration: `overrides` over the broker's values.

    Raises ConfigError for an unknown name, a value its key refuses, one outside the broker's minimum and
    maximum, and a heartbeat interval that is not shorter than the session timeout.
    """
    config = GroupConfig(
        consumer_heartbeat_interval_ms=broker.group_consumer_heartbeat_interval_ms,
        consumer_session_timeout_ms=broker.group_consumer_session_timeout_ms,
    )
    if not overrides:
        return config
    values: dict[str, Any] = {}
    for name, text in overrides.items():
        definition = group_definition(name)
        value = definition.parse(text)
        if definition.field in GroupConfig._fields:
            values[definition.field] = value
    config = config._replace(**values)
    _check(config, broker)
    return config


def group_definition(name: str) -> ConfigDef:
    definition = GROUP_CONFIGS.get(name)
    if definition is None:
        raise ConfigError(f"Unknown group config name: {name}", name)
    return definition


def _check(config: GroupConfig, broker: BrokerConfig) -> None:
    bounds = (
        (
            "session.timeout.ms",
            config.consumer_session_timeout_ms,
            broker.group_consumer_min_session_timeout_ms,
            broker.group_consumer_max_session_timeout_ms,
        ),
        (
            "heartbeat.interval.ms",
            config.consumer_heartbeat_interval_ms,
            broker.group_consumer_min_heartbeat_interval_ms,
            broker.group_consumer_max_heartbeat_interval_ms,
        ),
    )
    for name, value, minimum, maximum in bounds:
        if value < minimum:
            raise ConfigError(
                f"consumer.{name} must be greater than or equal to group.consumer.min.{name} ({minimum})",
                f"consumer.{name}",
            )
        if value > maximum:
            raise ConfigError(
                f"consumer.{name} must be less than or equal to group.consumer.max.{name} ({maximum})",
                f"consumer.{name}",
            )
    if config.consumer_session_timeout_ms <= config.consumer_heartbeat_interval_ms:
        raise ConfigError(
            "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms",
            "consumer.session.timeout.ms",
        )
