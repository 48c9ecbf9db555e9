"""What DescribeConfigs shows: each key's value, where it comes from, and the other places it could come from.

Kafka's order of synonyms (KIP-226): the resource's own override first, then layer by layer (dynamic broker,
dynamic default, static, default), in each layer the broker key and its coarser units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ottla.config.broker import BROKER_CONFIGS, broker_definition
from ottla.config.client_metrics import CLIENT_METRICS_CONFIGS
from ottla.config.definition import STRING, ConfigDef, ConfigType, UpdateMode
from ottla.config.groups import GROUP_CONFIGS
from ottla.config.layers import BrokerLayers, ConfigSource, resolve
from ottla.config.topic import TOPIC_CONFIGS


class ConfigSynonym(NamedTuple):
    name: str
    value: str | None
    source: ConfigSource


class ConfigEntry(NamedTuple):
    """One line of a DescribeConfigs answer; `value` is null for a sensitive key and an unknown one."""

    name: str
    value: str | None
    source: ConfigSource
    is_sensitive: bool
    read_only: bool
    type: ConfigType
    documentation: str | None
    synonyms: tuple[ConfigSynonym, ...]


def describe_topic(overrides: Mapping[str, str], layers: BrokerLayers) -> list[ConfigEntry]:
    """Every topic key in order of name."""
    return _describe_resource(TOPIC_CONFIGS, overrides, layers, ConfigSource.DYNAMIC_TOPIC_CONFIG)


def describe_group(overrides: Mapping[str, str], layers: BrokerLayers) -> list[ConfigEntry]:
    """Every group key in order of name."""
    return _describe_resource(GROUP_CONFIGS, overrides, layers, ConfigSource.GROUP_CONFIG)


def describe_client_metrics(overrides: Mapping[str, str], layers: BrokerLayers) -> list[ConfigEntry]:
    """Every key of a subscription in order of name."""
    source = ConfigSource.DYNAMIC_CLIENT_METRICS_CONFIG
    return _describe_resource(CLIENT_METRICS_CONFIGS, overrides, layers, source)


def describe_broker(layers: BrokerLayers) -> list[ConfigEntry]:
    """Every broker key, and what else is set, in order of name."""
    names = {name for name, definition in BROKER_CONFIGS.items() if not definition.internal}
    return [_broker_entry(name, layers) for name in sorted(names | layers.names())]


def describe_cluster_default(layers: BrokerLayers) -> list[ConfigEntry]:
    """The dynamic defaults of the whole cluster: the BROKER resource with an empty name."""
    of_cluster = BrokerLayers(dynamic_default=layers.dynamic_default)
    return [
        entry._replace(
            synonyms=tuple(
                each for each in entry.synonyms if each.source is ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
            )
        )
        for entry in (_broker_entry(name, of_cluster) for name in sorted(layers.dynamic_default))
    ]


def _describe_resource(
    registry: Mapping[str, ConfigDef],
    overrides: Mapping[str, str],
    layers: BrokerLayers,
    own_source: ConfigSource,
) -> list[ConfigEntry]:
    entries = []
    for name, definition in registry.items():
        if definition.internal:
            continue
        synonyms = _broker_synonyms(definition.synonyms[0], layers) if definition.synonyms else ()
        if own_source is ConfigSource.GROUP_CONFIG and not definition.synonyms:
            synonyms = tuple(_defaults((definition,)))
        if name in overrides:
            value = definition.parse(overrides[name])
            synonyms = (ConfigSynonym(name, definition.format(value), own_source), *synonyms)
        elif definition.synonyms:
            value = resolve(definition.synonyms, layers, BROKER_CONFIGS)
            if definition.type is STRING and isinstance(value, tuple):
                value = value[
                    0
                ]  # the first of the broker's assignors is a group's own unless it says another
        else:
            value = definition.default
        entries.append(_entry(definition, definition.format(value), synonyms, read_only=False))
    return entries


def _broker_entry(name: str, layers: BrokerLayers) -> ConfigEntry:
    synonyms = _broker_synonyms(name, layers)
    definition = broker_definition(name)
    if definition is None:  # nothing says that it is no secret
        return ConfigEntry(name, None, synonyms[0].source, True, True, ConfigType.UNKNOWN, None, synonyms)
    if name in BROKER_CONFIGS:
        # The two names of the broker's number always agree; others show what they were given themselves.
        names = ("node.id", "broker.id") if name in ("node.id", "broker.id") else (name,)
        value = resolve(names, layers, BROKER_CONFIGS)
    else:
        value = definition.parse(next(layers.texts(name)).text)
    read_only = name not in BROKER_CONFIGS or definition.update_mode is UpdateMode.READ_ONLY
    entry = _entry(definition, definition.format(value), synonyms, read_only=read_only)
    return entry._replace(name=name)


def _entry(
    definition: ConfigDef, value: str | None, synonyms: tuple[ConfigSynonym, ...], *, read_only: bool
) -> ConfigEntry:
    return ConfigEntry(
        name=definition.name,
        value=value,
        source=synonyms[0].source if synonyms else ConfigSource.DEFAULT_CONFIG,
        is_sensitive=definition.is_sensitive,
        read_only=read_only,
        type=definition.type,
        documentation=definition.doc,
        synonyms=synonyms,
    )


_NEWER_NAMES = {"node.id", "log.dirs"}
"""Another key's value holds for these, but Kafka does not say so here."""


def _broker_synonyms(name: str, layers: BrokerLayers) -> tuple[ConfigSynonym, ...]:
    definition = broker_definition(name)
    names = [name]
    if definition is not None and name not in _NEWER_NAMES:
        # One listener's setting falls back on that of all, which has no coarser units.
        names += definition.synonyms if name in BROKER_CONFIGS else (definition.name,)
    is_sensitive = definition is None or definition.is_sensitive
    found = [
        ConfigSynonym(key, None if is_sensitive else layer[key], source)
        for layer, source in layers.by_source()
        for key in names
        if key in layer
    ]
    found.extend(_defaults(BROKER_CONFIGS[key] for key in names if key in BROKER_CONFIGS))
    # Kafka lists coarser units only behind an entry of the key itself.
    first = next((index for index, synonym in enumerate(found) if synonym.name == name), len(found))
    return tuple(found[first:])


def _defaults(definitions: Iterable[ConfigDef]) -> Iterable[ConfigSynonym]:
    for definition in definitions:
        if definition.default is not None:
            text = definition.format(definition.default)
            yield ConfigSynonym(definition.name, text, ConfigSource.DEFAULT_CONFIG)
