"""How much users, clients and addresses may take: what the cluster keeps of it (KIP-13, KIP-546)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from ottla.metadata import documents
from ottla.metadata.transaction import MetadataFormatError

QUOTAS: Final = "/quotas/"
"""Below it: the entity as a JSON object of names by type"""

USER: Final = "user"
CLIENT_ID: Final = "client-id"
IP: Final = "ip"

PRODUCER_BYTE_RATE: Final = "producer_byte_rate"
CONSUMER_BYTE_RATE: Final = "consumer_byte_rate"
REQUEST_PERCENTAGE: Final = "request_percentage"
CONTROLLER_MUTATION_RATE: Final = "controller_mutation_rate"
CONNECTION_CREATION_RATE: Final = "connection_creation_rate"

QuotaEntity: TypeAlias = tuple[tuple[str, str | None], ...]
"""Types (client id, user, or address alone) in the order of the alphabet, each with a name; None is the
type's default"""


class EntityQuotas(NamedTuple):
    """How much an entity may take, by the quota's name; `revision` is that of its key."""

    limits: Mapping[str, float]
    revision: int = 0


def entity_of(parts: Iterable[tuple[str, str | None]]) -> QuotaEntity:
    """In the order that all entities have. Of a type that is named twice the last counts, as in Kafka."""
    return tuple(sorted(dict(parts).items()))


def quota_key(entity: QuotaEntity) -> str:
    return QUOTAS + documents.encode(dict(entity)).decode()


def parse_quota_key(key: str) -> QuotaEntity:
    _, entity = documents.load(key.removeprefix(QUOTAS).encode())
    if not all(isinstance(name, str | None) for name in entity.values()):
        raise MetadataFormatError(f"{key} is no entity's key")
    return entity_of(entity.items())


def encode_quotas(limits: Mapping[str, float]) -> bytes:
    return documents.encode(dict(limits))


def decode_quotas(value: bytes, revision: int) -> EntityQuotas:
    _, limits = documents.load(value)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in limits.values()):
        raise MetadataFormatError(f"{value!r} holds quotas that are no numbers")
    return EntityQuotas(MappingProxyType({name: float(each) for name, each in limits.items()}), revision)


class QuotaFilter(NamedTuple):
    """Which entities are meant."""

    exact: Mapping[str, str | None]
    """By type the name, None being the default's"""
    present: frozenset[str]
    """Types that may have any name"""
    strict: bool
    """No entities that have other types too"""

    def matches(self, entity: QuotaEntity) -> bool:
        parts = dict(entity)
        if not self.exact and not self.present:
            return not self.strict
        return (
            all(kind in parts and parts[kind] == name for kind, name in self.exact.items())
            and self.present <= parts.keys()
            and (not self.strict or len(parts) == len(self.exact) + len(self.present))
        )
