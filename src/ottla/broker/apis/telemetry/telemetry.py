"""GetTelemetrySubscriptions, PushTelemetry: what clients tell of themselves (KIP-714)."""

from __future__ import annotations

from typing import Final

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import Open
from ottla.broker.services import TelemetryServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.get_telemetry_subscriptions import (
    GetTelemetrySubscriptionsRequest,
    GetTelemetrySubscriptionsResponse,
)
from ottla.protocol.messages.push_telemetry import PushTelemetryRequest, PushTelemetryResponse
from ottla.records.compression import Codec

_ACCEPTED: Final = (Codec.zstd, Codec.lz4, Codec.gzip, Codec.snappy)
"""In the order in which clients are to prefer them"""


def _ask(
    services: TelemetryServices, context: RequestContext, message: GetTelemetrySubscriptionsRequest
) -> GetTelemetrySubscriptionsResponse:
    telemetry = services.telemetry
    if telemetry is None:
        raise KafkaError(ErrorCode.unsupported_version)
    instance_id, instance = telemetry.ask(context, message.client_instance_id)
    return GetTelemetrySubscriptionsResponse(
        client_instance_id=instance_id,
        subscription_id=instance.subscription_id,
        accepted_compression_types=_ACCEPTED,
        push_interval_ms=instance.interval_ms,
        telemetry_max_bytes=telemetry.max_bytes,
        delta_temporality=True,
        requested_metrics=instance.metrics,
    )


async def _push(
    services: TelemetryServices, context: RequestContext, message: PushTelemetryRequest
) -> PushTelemetryResponse:
    if services.telemetry is None:
        raise KafkaError(ErrorCode.unsupported_version)
    await services.telemetry.push(context, message)
    return PushTelemetryResponse()


_OPEN = Open("each client tells of itself alone")
_GAP = "Only where `ottla.telemetry.otlp.endpoint` is set; not advertised otherwise."

APIS = (
    Api(
        TelemetryServices,
        GetTelemetrySubscriptionsRequest,
        GetTelemetrySubscriptionsResponse,
        _ask,
        right=_OPEN,
        kips=(714,),
        gaps=(_GAP,),
    ),
    Api(
        TelemetryServices,
        PushTelemetryRequest,
        PushTelemetryResponse,
        _push,
        right=_OPEN,
        kips=(714,),
        gaps=(_GAP,),
    ),
)
