"""What a listener's connections are held to beside those of all (`listener.name.NAME.`; KIP-402, KIP-612)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

from ottla.config.definition import INT_MAX, ConfigDef
from ottla.config.layers import BrokerLayers
from ottla.config.listeners import Listener


class ListenerLimits(NamedTuple):
    max_connections: int = INT_MAX
    """At once"""
    creation_rate: int = INT_MAX
    """In a second"""


def listener_limits(
    listeners: Iterable[Listener], layers: BrokerLayers, registry: Mapping[str, ConfigDef]
) -> Mapping[str, ListenerLimits]:
    """By the names of the listeners that have any."""

    def own(listener: Listener, key: str) -> int:
        for sourced in layers.texts(f"listener.name.{listener.name.lower()}.{key}"):
            return cast("int", registry[key].parse(sourced.text))
        return INT_MAX

    found = {
        each.name: ListenerLimits(own(each, "max.connections"), own(each, "max.connection.creation.rate"))
        for each in listeners
    }
    return {name: limits for name, limits in found.items() if limits != ListenerLimits()}
