"""Where values come from: the layers of broker settings, and the value that results of them.

Precedence is Kafka's (KIP-226): this broker's dynamic value, the cluster's dynamic default, the static value
(file, environment, command line), the default.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ottla.config.definition import ConfigDef, ConfigValue


class ConfigSource(enum.IntEnum):
    """DescribeConfigs' `config_source`."""

    UNKNOWN = 0
    DYNAMIC_TOPIC_CONFIG = 1
    DYNAMIC_BROKER_CONFIG = 2
    DYNAMIC_DEFAULT_BROKER_CONFIG = 3
    STATIC_BROKER_CONFIG = 4
    DEFAULT_CONFIG = 5
    DYNAMIC_BROKER_LOGGER_CONFIG = 6
    DYNAMIC_CLIENT_METRICS_CONFIG = 7
    GROUP_CONFIG = 8


class SourcedText(NamedTuple):
    """A key's text as one layer gives it, before it is parsed."""

    name: str
    text: str
    source: ConfigSource


_NOTHING: Mapping[str, str] = MappingProxyType({})


class BrokerLayers(NamedTuple):
    """The texts that each layer sets, by key."""

    static: Mapping[str, str] = _NOTHING
    dynamic_default: Mapping[str, str] = _NOTHING
    dynamic: Mapping[str, str] = _NOTHING

    def by_source(self) -> tuple[tuple[Mapping[str, str], ConfigSource], ...]:
        """The layers, the strongest first."""
        return (
            (self.dynamic, ConfigSource.DYNAMIC_BROKER_CONFIG),
            (self.dynamic_default, ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG),
            (self.static, ConfigSource.STATIC_BROKER_CONFIG),
        )

    def texts(self, name: str) -> Iterator[SourcedText]:
        """What each layer says of `name`, the winning one first."""
        for layer, source in self.by_source():
            if name in layer:
                yield SourcedText(name, layer[name], source)

    def names(self) -> set[str]:
        return {*self.dynamic, *self.dynamic_default, *self.static}


_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS


def _as_unit_of(key: str, synonym: str, value: ConfigValue) -> ConfigValue:
    """A coarser synonym's value in the milliseconds of the key it stands in for; no limit (-1) stays that."""
    if type(value) is not int or value < 0 or not key.endswith(".ms"):
        return value
    return value * (
        _HOUR_MS if synonym.endswith(".hours") else _MINUTE_MS if synonym.endswith(".minutes") else 1
    )


def resolve(names: tuple[str, ...], layers: BrokerLayers, registry: Mapping[str, ConfigDef]) -> ConfigValue:
    """The value of the first of `names` (a key, then its synonyms) that is set, else the first default."""
    for name in names:
        for sourced in layers.texts(name):
            return _as_unit_of(names[0], name, registry[name].parse(sourced.text))
    for name in names:
        if registry[name].default is not None:
            return _as_unit_of(names[0], name, registry[name].default)
    return None
