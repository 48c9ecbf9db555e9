"""UpdateFeatures: change the levels of cluster-wide features (KIP-584)."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.update_features import UpdateFeaturesRequest, UpdateFeaturesResponse


def _handle(
    _services: ClusterServices, _context: RequestContext, message: UpdateFeaturesRequest
) -> UpdateFeaturesResponse:
    for update in message.feature_updates:
        raise KafkaError(
            ErrorCode.invalid_update_version,
            f"Feature {update.feature} is not supported by this cluster, which has no versioned features.",
        )
    return UpdateFeaturesResponse()


API = Api(
    key=57,
    name="UpdateFeatures",
    versions=(0, 2),
    handle=_handle,
    kips=(584, 1022),
    gaps=("There are no versioned features, so every update is refused.",),
)
