"""UnregisterBroker: forget a broker that is gone for good (KIP-500)."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse


def _handle(
    services: ClusterServices, _context: RequestContext, message: UnregisterBrokerRequest
) -> UnregisterBrokerResponse:
    if message.broker_id != services.node.node_id:
        raise KafkaError(
            ErrorCode.broker_id_not_registered, f"Broker ID {message.broker_id} is not registered."
        )
    raise KafkaError(ErrorCode.invalid_request, "A broker that is alive cannot be unregistered.")


API = Api(
    key=64,
    name="UnregisterBroker",
    versions=(0, 0),
    handle=_handle,
    kips=(500,),
    gaps=("There is one broker, and it is alive.",),
)
