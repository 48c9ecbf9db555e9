"""What DescribeConfigs shows: each key's value, where it comes from, and the other places it could come from.

Kafka's order of synonyms (KIP-226): the resource's own override first, then layer by layer (dynamic broker,
dynamic default, static, default), in each layer the broker key and its coarser units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ottla.config.broker import BROKER_CONFIGS
from ottla.config.definition import ConfigDef, ConfigType, UpdateMode
from ottla.config.group_keys import GROUP_CONFIGS
from ottla.config.layers import BrokerLayers, ConfigSource, resolve
from ottla.config.topic_keys import TOPIC_CONFIGS


class ConfigSynonym(NamedTuple):
    name: str
    value: str | None
    source: ConfigSource


class ConfigEntry(NamedTuple):
    """One line of a DescribeConfigs answer; `value` is null for a sensitive key."""

    name: str
    value: str | None
    source: ConfigSource
    is_sensitive: bool
    read_only: bool
    type: ConfigType
    documentation: str
    synonyms: tuple[ConfigSynonym, ...]


def describe_topic(overrides: Mapping[str, str], layers: BrokerLayers) -> list[ConfigEntry]:
    """Every topic key in order of name."""
    return _describe_resource(TOPIC_CONFIGS, overrides, layers, ConfigSource.DYNAMIC_TOPIC_CONFIG)


def describe_group(overrides: Mapping[str, str], layers: BrokerLayers) -> list[ConfigEntry]:
    """Every group key in order of name."""
    return _describe_resource(GROUP_CONFIGS, overrides, layers, ConfigSource.GROUP_CONFIG)


def describe_broker(layers: BrokerLayers) -> list[ConfigEntry]:
    """Every broker key in order of name."""
    return [
        _broker_entry(definition, _broker_synonyms(definition.name, layers), layers)
        for definition in BROKER_CONFIGS.values()
        if not definition.internal
    ]


def describe_cluster_default(layers: BrokerLayers) -> list[ConfigEntry]:
    """The dynamic defaults of the whole cluster: the BROKER resource with an empty name."""
    return [
        _broker_entry(
            BROKER_CONFIGS[name],
            (ConfigSynonym(name, text, ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG),),
            BrokerLayers(dynamic_default=layers.dynamic_default),
        )
        for name, text in sorted(layers.dynamic_default.items())
        if name in BROKER_CONFIGS
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
        if name in overrides:
            value = definition.parse(overrides[name])
            synonyms = (ConfigSynonym(name, definition.format(value), own_source), *synonyms)
        elif definition.synonyms and definition.synonyms[0] in BROKER_CONFIGS:
            value = resolve(definition.synonyms, layers, BROKER_CONFIGS)
        else:
            value = definition.default
        entries.append(_entry(definition, definition.format(value), synonyms, read_only=False))
    return entries


def _broker_entry(
    definition: ConfigDef, synonyms: tuple[ConfigSynonym, ...], layers: BrokerLayers
) -> ConfigEntry:
    # The two names of the broker's number always agree; other keys show what they were given themselves.
    names = ("node.id", "broker.id") if definition.name in ("node.id", "broker.id") else (definition.name,)
    value = resolve(names, layers, BROKER_CONFIGS)
    read_only = definition.update_mode is UpdateMode.READ_ONLY
    return _entry(definition, definition.format(value), synonyms, read_only=read_only)


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


def _broker_synonyms(name: str, layers: BrokerLayers) -> tuple[ConfigSynonym, ...]:
    definition = BROKER_CONFIGS.get(name)
    if definition is None:
        return ()
    names = (name, *definition.synonyms)
    found = [
        ConfigSynonym(key, None if definition.is_sensitive else layer[key], source)
        for layer, source in layers.by_source()
        for key in names
        if key in layer
    ]
    found.extend(_defaults(names))
    # Kafka lists coarser units only behind an entry of the key itself.
    first = next((index for index, synonym in enumerate(found) if synonym.name == name), len(found))
    return tuple(found[first:])


def _defaults(names: Iterable[str]) -> Iterable[ConfigSynonym]:
    for name in names:
        definition = BROKER_CONFIGS[name]
        if definition.default is not None:
            yield ConfigSynonym(name, definition.format(definition.default), ConfigSource.DEFAULT_CONFIG)
