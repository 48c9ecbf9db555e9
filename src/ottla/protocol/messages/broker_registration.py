"""BrokerRegistration: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class Listener(Struct):
    name: str = field("string", "0+")
    host: str = field("string", "0+")
    port: int = field("uint16", "0+")
    security_protocol: int = field("int16", "0+")


class Feature(Struct):
    name: str = field("string", "0+")
    min_supported_version: int = field("int16", "0+")
    max_supported_version: int = field("int16", "0+")


class BrokerRegistrationRequest(Struct, key=62, versions="0-4", flexible="0+"):
    broker_id: int = field("int32", "0+")
    cluster_id: str = field("string", "0+")
    incarnation_id: UUID | None = field("uuid", "0+")
    listeners: Sequence[Listener] = array(Listener, "0+")
    features: Sequence[Feature] = array(Feature, "0+")
    rack: str | None = field("string", "0+", nullable="0+")
    is_migrating_zk_broker: bool = field("bool", "1+")
    log_dirs: Sequence[UUID | None] = array("uuid", "2+")
    previous_broker_epoch: int = field("int64", "3+", default=-1)


class BrokerRegistrationResponse(Struct, key=62, versions="0-4", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    broker_epoch: int = field("int64", "0+", default=-1)
