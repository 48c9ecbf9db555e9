"""ApiVersions: which APIs and versions this broker serves."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse

VERSION_NOT_SERVED = -1
"""Given by the router as the request's version where the client's is too new (KIP-511)."""


def _handle(
    services: ClusterServices, context: RequestContext, message: ApiVersionsRequest
) -> ApiVersionsResponse:
    if context.api_version == VERSION_NOT_SERVED:
        # All that a client needs to ask again.
        own = [row for row in services.api_table if row.api_key == API.key]
        return ApiVersionsResponse(error_code=ErrorCode.unsupported_version, api_keys=own)
    if context.api_version >= 3 and not _is_acceptable(message):
        return ApiVersionsResponse(error_code=ErrorCode.invalid_request)
    return ApiVersionsResponse(api_keys=services.api_table, finalized_features_epoch=0)


def _is_acceptable(message: ApiVersionsRequest) -> bool:
    """Names of clients are shown in logs and metrics, so they are held to Kafka's alphabet (KIP-511)."""
    return all(
        text
        and text.replace("-", "").replace(".", "").isalnum()
        and text.isascii()
        and text[0].isalnum()
        and text[-1].isalnum()
        for text in (message.client_software_name, message.client_software_version)
    )


API = Api(key=18, name="ApiVersions", versions=(0, 4), handle=_handle, kips=(35, 511, 584))
