"""The configuration in force: what it is now, for those who must follow its changes."""

from __future__ import annotations

from ottla.config.broker import BrokerConfig
from ottla.config.layers import BrokerLayers


class CurrentConfig:
    """The typed configuration and the layers it came from, replaced as a whole when a dynamic one changes."""

    __slots__ = ("layers", "value")

    def __init__(self, value: BrokerConfig, layers: BrokerLayers) -> None:
        self.value = value
        self.layers = layers
