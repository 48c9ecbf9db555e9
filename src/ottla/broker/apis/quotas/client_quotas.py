"""DescribeClientQuotas, AlterClientQuotas: how much clients may take."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster
from ottla.broker.services import NoServices
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    AlterClientQuotasResponse,
    AlterClientQuotasResponseEntityData,
    AlterClientQuotasResponseEntryData,
)
from ottla.protocol.messages.describe_client_quotas import (
    ComponentData,
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
)

ENTITY_TYPES = frozenset({"user", "client-id", "ip"})
EXACT, DEFAULT, SPECIFIED = range(3)
_KIPS = (546, 612)


def _describe(
    _services: NoServices, _context: RequestContext, message: DescribeClientQuotasRequest
) -> DescribeClientQuotasResponse:
    seen: set[str] = set()
    for component in message.components:
        _check(component)
        if component.entity_type in seen:
            raise KafkaError(ErrorCode.invalid_request, f"{component.entity_type} is given twice.")
        seen.add(component.entity_type)
    if "ip" in seen and len(seen) > 1:
        raise KafkaError(ErrorCode.invalid_request, "Quotas of addresses have no users and clients.")
    return DescribeClientQuotasResponse(entries=())


def _check(component: ComponentData) -> None:
    if not component.entity_type:
        raise KafkaError(ErrorCode.invalid_request, "A component has no entity type.")
    if component.entity_type not in ENTITY_TYPES:
        raise KafkaError(
            ErrorCode.unsupported_version, f"Custom entity type '{component.entity_type}' not supported"
        )
    if component.match_type not in {EXACT, DEFAULT, SPECIFIED}:
        raise KafkaError(ErrorCode.invalid_request, f"Unexpected match type: {component.match_type}")
    if (component.match is None) == (component.match_type == EXACT):
        raise KafkaError(ErrorCode.invalid_request, "An exact match has a name, and no other has one.")


def _alter(
    _services: NoServices, _context: RequestContext, message: AlterClientQuotasRequest
) -> AlterClientQuotasResponse:
    return AlterClientQuotasResponse(
        entries=[
            AlterClientQuotasResponseEntryData(
                error_code=ErrorCode.unsupported_version,
                error_message="Client quotas are not supported yet.",
                entity=[
                    AlterClientQuotasResponseEntityData(
                        entity_type=part.entity_type, entity_name=part.entity_name
                    )
                    for part in entry.entity
                ],
            )
            for entry in message.entries
        ]
    )


APIS = (
    Api(
        NoServices,
        DescribeClientQuotasRequest,
        DescribeClientQuotasResponse,
        _describe,
        right=OnCluster(Operation.DESCRIBE_CONFIGS),
        kips=_KIPS,
        gaps=("Always empty until quotas exist.",),
    ),
    Api(
        NoServices,
        AlterClientQuotasRequest,
        AlterClientQuotasResponse,
        _alter,
        right=OnCluster(Operation.ALTER_CONFIGS),
        kips=_KIPS,
        gaps=("Refused until quotas exist.",),
    ),
)
