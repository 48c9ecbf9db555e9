"""DescribeQuorum: the state of KRaft's quorum, which Ottla does not have."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.describe_quorum import DescribeQuorumRequest, DescribeQuorumResponse


def _handle(
    _services: ClusterServices, _context: RequestContext, _message: DescribeQuorumRequest
) -> DescribeQuorumResponse:
    raise KafkaError(
        ErrorCode.unsupported_version, "The metadata of this cluster is not kept by a KRaft quorum."
    )


API = Api(
    key=55,
    name="DescribeQuorum",
    versions=(0, 2),
    handle=_handle,
    kips=(595, 836, 853),
    gaps=("There is no KRaft quorum to describe.",),
)
