"""What the operations work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ottla.bridge.clients import Clients
from ottla.bridge.consumers import Consumers
from ottla.bridge.settings import BridgeSettings


class Services(NamedTuple):
    settings: BridgeSettings
    clients: Clients
    consumers: Consumers
    consumer_settings: Mapping[str, object]
    """Of all consumers, unless a request says otherwise"""
    own_address: str
    """Host and port of the listener"""
    scheme: str
