"""What the operations work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ottla.bridge.consumers import Consumers
from ottla.bridge.settings import BridgeSettings
from ottla.client.connecting import AsyncClient
from ottla.client.producer.producer import AsyncProducer


class Services(NamedTuple):
    settings: BridgeSettings
    client: AsyncClient
    producer: AsyncProducer
    consumers: Consumers
    consumer_settings: Mapping[str, object]
    """Of all consumers, unless a request says otherwise"""
    own_address: str
    """Host and port of the listener"""
    scheme: str
