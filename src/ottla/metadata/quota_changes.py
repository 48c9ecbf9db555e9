"""Changing and showing how much users, clients and addresses may take (KIP-546)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ottla.metadata.image import MetadataImage
from ottla.metadata.plan import Changes, Plan
from ottla.metadata.quotas import (
    CLIENT_ID,
    CONNECTION_CREATION_RATE,
    CONSUMER_BYTE_RATE,
    CONTROLLER_MUTATION_RATE,
    IP,
    PRODUCER_BYTE_RATE,
    REQUEST_PERCENTAGE,
    USER,
    EntityQuotas,
    QuotaEntity,
    QuotaFilter,
    encode_quotas,
    quota_key,
)
from ottla.metadata.transaction import Compare, Delete, Put
from ottla.protocol.errors import ErrorCode, KafkaError

_INT_MAX: Final = 2**31 - 1
_LONG_MAX: Final = 2**63 - 1
_OF_CLIENTS: Final = {
    PRODUCER_BYTE_RATE: _LONG_MAX,
    CONSUMER_BYTE_RATE: _LONG_MAX,
    REQUEST_PERCENTAGE: None,
    CONTROLLER_MUTATION_RATE: None,
}
_OF_ADDRESSES: Final = {CONNECTION_CREATION_RATE: _INT_MAX}
"""The quotas that there are, with the largest value of those that are whole numbers"""


class QuotaAlteration(NamedTuple):
    """What is to be set of an entity, or taken away: None."""

    entity: QuotaEntity
    ops: Sequence[tuple[str, float | None]]


def alter_client_quotas(
    image: MetadataImage, alterations: Sequence[QuotaAlteration]
) -> Plan[QuotaEntity, None]:
    """Set what each alteration says; an entity is altered as a whole, or not at all.

    An entity or a quota that is named twice is refused; Kafka refuses it too, and does what came first.
    """
    planned: Changes[QuotaEntity] = Changes()
    results: dict[QuotaEntity, KafkaError | None] = {}
    accepted: dict[QuotaEntity, QuotaAlteration] = {}
    for alteration in alterations:
        entity = alteration.entity
        if entity in results:
            accepted.pop(entity, None)
            results[entity] = _invalid(f"Ignoring duplicate entity {dict(entity)}")
            continue
        results[entity] = refusal = _refusal(alteration)
        if refusal is None:
            accepted[entity] = alteration
    for entity, (_, ops) in accepted.items():
        known = image.quotas.get(entity)
        before = {} if known is None else dict(known.limits)
        after = {name: value for name, value in {**before, **dict(ops)}.items() if value is not None}
        if after == before:
            continue
        key = quota_key(entity)
        write = Put(key, encode_quotas(after)) if after else Delete(key)
        planned.add(entity, (Compare.unchanged(key, 0 if known is None else known.revision),), (write,))
    return Plan(planned.steps(), results)


def _refusal(alteration: QuotaAlteration) -> KafkaError | None:
    try:
        known = _quotas_of(dict(alteration.entity))
        seen: set[str] = set()
        for name, value in alteration.ops:
            if name in seen:
                raise _invalid(f"Duplicate quota key {name}")
            seen.add(name)
            if value is not None:
                _check(name, value, known)
    except KafkaError as error:
        return error
    return None


def _quotas_of(entity: Mapping[str, str | None]) -> Mapping[str, int | None]:
    """Those that the entity may have. Raises KafkaError(invalid_request) for what is none."""
    if not entity:
        raise _invalid("Invalid empty client quota entity")
    for kind, name in entity.items():
        if kind not in (USER, CLIENT_ID, IP):
            raise _invalid(f"Unhandled client quota entity type: {kind}")
        if name == "":
            raise _invalid(f"Empty {kind} not supported")
    if IP not in entity:
        return _OF_CLIENTS
    if len(entity) > 1:
        raise _invalid(
            "Invalid quota entity combination, IP entity should not be combined with User or ClientId"
        )
    return _OF_ADDRESSES


def _check(name: str, value: float, known: Mapping[str, int | None]) -> None:
    if name not in known:
        raise _invalid(f"Invalid configuration key {name}")
    if not math.isfinite(value):
        raise _invalid(f"Quota {name} must be a number")
    if value <= 0:
        raise _invalid(f"Quota {name} must be greater than 0")
    largest = known[name]
    if largest is None:
        return
    if value > largest:
        raise _invalid(f"Proposed value for {name} is too large.")
    if value % 1.0 > 1e-6:
        raise _invalid(f"{name} cannot be a fractional value.")


def _invalid(text: str) -> KafkaError:
    return KafkaError(ErrorCode.invalid_request, text)


def describe_client_quotas(image: MetadataImage, wanted: QuotaFilter) -> Mapping[QuotaEntity, EntityQuotas]:
    return {entity: quotas for entity, quotas in image.quotas.items() if wanted.matches(entity)}
