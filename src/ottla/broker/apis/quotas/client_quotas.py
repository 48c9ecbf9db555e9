"""DescribeClientQuotas, AlterClientQuotas: how much clients may take (KIP-546, KIP-612)."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster
from ottla.broker.services import QuotaServices
from ottla.metadata.quota_changes import QuotaAlteration, describe_client_quotas
from ottla.metadata.quotas import CLIENT_ID, IP, USER, EntityQuotas, QuotaEntity, QuotaFilter, entity_of
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    AlterClientQuotasRequestEntryData,
    AlterClientQuotasResponse,
    AlterClientQuotasResponseEntityData,
    AlterClientQuotasResponseEntryData,
)
from ottla.protocol.messages.describe_client_quotas import (
    ComponentData,
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
    EntityData,
    EntryData,
    ValueData,
)

EXACT, DEFAULT, SPECIFIED = range(3)
_KIPS = (546, 612)


def _describe(
    services: QuotaServices, _context: RequestContext, message: DescribeClientQuotasRequest
) -> DescribeClientQuotasResponse:
    exact: dict[str, str | None] = {}
    present: set[str] = set()
    for component in message.components:
        _check(component)
        if component.entity_type in exact or component.entity_type in present:
            raise KafkaError(ErrorCode.invalid_request, f"{component.entity_type} is given twice.")
        if component.match_type == SPECIFIED:
            present.add(component.entity_type)
        else:
            exact[component.entity_type] = component.match
    kinds = present | exact.keys()
    if IP in kinds and len(kinds) > 1:
        raise KafkaError(ErrorCode.invalid_request, "Quotas of addresses have no users and clients.")
    found = describe_client_quotas(
        services.metadata.image, QuotaFilter(exact, frozenset(present), message.strict)
    )
    return DescribeClientQuotasResponse(entries=[_entry(entity, quotas) for entity, quotas in found.items()])


def _check(component: ComponentData) -> None:
    if not component.entity_type:
        raise KafkaError(ErrorCode.invalid_request, "A component has no entity type.")
    if component.entity_type not in (USER, CLIENT_ID, IP):
        raise KafkaError(
            ErrorCode.unsupported_version, f"Custom entity type '{component.entity_type}' not supported"
        )
    if component.match_type not in (EXACT, DEFAULT, SPECIFIED):
        raise KafkaError(ErrorCode.invalid_request, f"Unexpected match type: {component.match_type}")
    if (component.match is None) == (component.match_type == EXACT):
        raise KafkaError(ErrorCode.invalid_request, "An exact match has a name, and no other has one.")


def _entry(entity: QuotaEntity, quotas: EntityQuotas) -> EntryData:
    return EntryData(
        entity=[EntityData(entity_type=kind, entity_name=name) for kind, name in entity],
        values=[ValueData(key=name, value=value) for name, value in quotas.limits.items()],
    )


def _describe_error(
    _message: DescribeClientQuotasRequest, code: ErrorCode, text: str | None
) -> DescribeClientQuotasResponse:
    return DescribeClientQuotasResponse(error_code=code, error_message=text, entries=None)


async def _alter(
    services: QuotaServices, _context: RequestContext, message: AlterClientQuotasRequest
) -> AlterClientQuotasResponse:
    results: dict[QuotaEntity, KafkaError | None] = {}
    alterations = []
    for entry in message.entries:
        entity = entity_of((part.entity_type, part.entity_name) for part in entry.entity)
        address = dict(entity).get(IP)
        if address and len(entity) == 1 and not await _is_address(services, address):
            results[entity] = KafkaError(
                ErrorCode.invalid_request, f"{address} is not a valid IP or resolvable host."
            )
            continue
        ops = [(op.key, None if op.remove else op.value) for op in entry.ops]
        alterations.append(QuotaAlteration(entity, ops))
    results |= await services.quotas.alter_client_quotas(alterations, validate_only=message.validate_only)
    return AlterClientQuotasResponse(
        entries=[
            _altered(entity, ErrorCode.none, None)
            if result is None
            else _altered(entity, result.code, result.message)
            for entity, result in results.items()
        ]
    )


async def _is_address(services: QuotaServices, host: str) -> bool:
    """Or the name of a host that has some."""
    try:
        return bool(await services.addresses_of(host))
    except (OSError, UnicodeError):
        return False


def _altered(entity: QuotaEntity, code: ErrorCode, text: str | None) -> AlterClientQuotasResponseEntryData:
    return AlterClientQuotasResponseEntryData(
        error_code=code,
        error_message=text,
        entity=[
            AlterClientQuotasResponseEntityData(entity_type=kind, entity_name=name) for kind, name in entity
        ],
    )


def _alter_error(
    message: AlterClientQuotasRequest, code: ErrorCode, text: str | None
) -> AlterClientQuotasResponse:
    def named(entry: AlterClientQuotasRequestEntryData) -> QuotaEntity:
        return tuple((part.entity_type, part.entity_name) for part in entry.entity)

    return AlterClientQuotasResponse(entries=[_altered(named(each), code, text) for each in message.entries])


APIS = (
    Api(
        QuotaServices,
        DescribeClientQuotasRequest,
        DescribeClientQuotasResponse,
        _describe,
        right=OnCluster(Operation.DESCRIBE_CONFIGS),
        error=_describe_error,
        kips=_KIPS,
    ),
    Api(
        QuotaServices,
        AlterClientQuotasRequest,
        AlterClientQuotasResponse,
        _alter,
        right=OnCluster(Operation.ALTER_CONFIGS),
        error=_alter_error,
        is_audited=True,
        kips=_KIPS,
    ),
)
