"""The configuration in force: what it is now, for those who must follow its changes."""

from __future__ import annotations

from typing import Protocol, TypeVar

from ottla.config.broker import BrokerConfig
from ottla.config.layers import BrokerLayers

View_co = TypeVar("View_co", covariant=True)


class Current(Protocol[View_co]):
    """A room's own view of it."""

    @property
    def value(self) -> View_co: ...


class CurrentLayers(Protocol):
    """The layers that it came from, to describe where values are set."""

    @property
    def layers(self) -> BrokerLayers: ...


class CurrentConfig:
    """The typed configuration and the layers it came from, replaced as a whole when a dynamic one changes."""

    __slots__ = ("layers", "value")

    def __init__(self, value: BrokerConfig, layers: BrokerLayers) -> None:
        self.value = value
        self.layers = layers
