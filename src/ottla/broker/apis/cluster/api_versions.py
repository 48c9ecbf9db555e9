"""ApiVersions: which APIs and versions this broker serves."""

from __future__ import annotations

from typing import Final

from ottla.broker import apis
from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import Open
from ottla.broker.services import ClusterServices, Node
from ottla.metadata.model import SUPPORTED_FEATURES
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

NO_NODE = -1
VERSION_NOT_SERVED = -1
"""Given by the router as the request's version where the client's is too new (KIP-511)."""

_LEVEL_0_SINCE = 4
"""Older clients cannot read of features that begin at level 0 (KAFKA-17011)."""

_ROWS: Final = tuple(
    ApiVersion(api_key=each.key, min_version=each.advertised_lowest, max_version=each.highest)
    for each in apis.APIS
)
_WITHOUT_TELEMETRY: Final = tuple(row for row in _ROWS if row.api_key not in (71, 72))
"""Clients that find no GetTelemetrySubscriptions and PushTelemetry don't tell of themselves (KIP-714)"""
_KEPT_MAX: Final = 255
"""Characters of what a client says it is made with, who has not said who he is"""
_SUPPORTED: Final = tuple(
    SupportedFeatureKey(name=name, min_version=lowest, max_version=newest)
    for name, (lowest, newest) in SUPPORTED_FEATURES.items()
)
_SUPPORTED_FROM_1: Final = tuple(each for each in _SUPPORTED if each.min_version)


def _handle(
    services: ClusterServices, context: RequestContext, message: ApiVersionsRequest
) -> ApiVersionsResponse:
    if context.api_version == VERSION_NOT_SERVED:
        # All that a client needs to ask again.
        own = [row for row in _ROWS if row.api_key == ApiVersionsRequest.__key__]
        return ApiVersionsResponse(error_code=ErrorCode.unsupported_version, api_keys=own)
    if context.api_version >= 3:
        _check_names(message)
        _check_target(services.node, message)
        names = message.client_software_name, message.client_software_version
        context.session.software = names[0][:_KEPT_MAX], names[1][:_KEPT_MAX]
    image = services.metadata.image
    return ApiVersionsResponse(
        api_keys=_ROWS if services.has_telemetry else _WITHOUT_TELEMETRY,
        supported_features=_SUPPORTED if context.api_version >= _LEVEL_0_SINCE else _SUPPORTED_FROM_1,
        finalized_features_epoch=image.features_epoch,
        finalized_features=[
            FinalizedFeatureKey(name=name, min_version_level=level, max_version_level=level)
            for name, level in image.features.items()
        ],
    )


def _check_names(message: ApiVersionsRequest) -> None:
    """Names of clients are shown in logs and metrics, so they are held to Kafka's alphabet (KIP-511)."""
    for text in (message.client_software_name, message.client_software_version):
        inner = text.replace("-", "").replace(".", "")
        if not (inner.isalnum() and text.isascii() and text[0].isalnum() and text[-1].isalnum()):
            raise KafkaError(ErrorCode.invalid_request)


def _check_target(node: Node, message: ApiVersionsRequest) -> None:
    """Whom the client believes to talk to (KIP-1242): it has learnt anew where a cluster's brokers are when
    another cluster, or another broker, answers at an address that it knew.
    """
    if (message.cluster_id is None) != (message.node_id == NO_NODE):
        raise KafkaError(ErrorCode.invalid_request)
    if message.cluster_id is None:
        return
    if message.cluster_id != node.cluster_id or message.node_id != node.node_id:
        raise KafkaError(ErrorCode.rebootstrap_required)


APIS = (
    Api(
        ClusterServices,
        ApiVersionsRequest,
        ApiVersionsResponse,
        _handle,
        right=Open("clients ask before they have said who they are"),
        kips=(35, 511, 584, 1242),
    ),
)
