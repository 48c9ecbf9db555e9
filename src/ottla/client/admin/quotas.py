"""Quotas of users, client ids and addresses (KIP-546)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final

from ottla.client.admin.calls import ANYWHERE, CONTROLLER, Calls, Node, outcome
from ottla.client.admin.results import Results
from ottla.client.errors import ClientError
from ottla.client.face import Face, awaited
from ottla.protocol.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    AlterClientQuotasRequestEntityData,
    AlterClientQuotasRequestEntryData,
    AlterClientQuotasResponse,
    OpData,
)
from ottla.protocol.messages.describe_client_quotas import (
    ComponentData,
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
)

__all__ = ["BlockingQuotas", "AnyName", "QuotaEntity", "QuotaMatch", "Quotas"]

_EXACT: Final = 0
_DEFAULT: Final = 1
_ANY: Final = 2


class AnyName(Enum):
    """For matches: whatever the entity's name."""

    ANY = "any"


QuotaEntity = frozenset[tuple[str, str | None]]
"""Pairs of a type ("user", "client-id", "ip") and a name, None being the default of that type."""

QuotaMatch = Mapping[str, str | AnyName | None]
"""Of each type which name: one, the default's (None), or any."""


class Quotas:
    """Admin calls about client quotas."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def describe(
        self, match: QuotaMatch | None = None, *, strict: bool = False
    ) -> Mapping[QuotaEntity, Mapping[str, float]]:
        """The quotas of entities that match, by name ("producer_byte_rate"); all without `match`. With
        `strict` none of entities that have other types too.
        """
        components = [_component(kind, name) for kind, name in (match or {}).items()]
        request = DescribeClientQuotasRequest(components=components, strict=strict)
        response = await self._calls.one(request, DescribeClientQuotasResponse, ANYWHERE)
        return {
            frozenset((each.entity_type, each.entity_name) for each in entry.entity): {
                each.key: each.value for each in entry.values
            }
            for entry in response.entries or ()
        }

    async def alter(
        self, changes: Mapping[QuotaEntity, Mapping[str, float | None]], *, validate_only: bool = False
    ) -> Results[QuotaEntity, None]:
        """Set quotas of entities, and remove those whose value is None."""

        async def ask(node: Node, keys: Sequence[QuotaEntity]) -> Mapping[QuotaEntity, ClientError | None]:
            request = AlterClientQuotasRequest(
                entries=[
                    AlterClientQuotasRequestEntryData(
                        entity=[
                            AlterClientQuotasRequestEntityData(entity_type=kind, entity_name=name)
                            for kind, name in _sorted(key)
                        ],
                        ops=[
                            OpData(key=name, value=value or 0.0, remove=value is None)
                            for name, value in changes[key].items()
                        ],
                    )
                    for key in keys
                ],
                validate_only=validate_only,
            )
            response = await self._calls.send(request, AlterClientQuotasResponse, node)
            return {
                frozenset((each.entity_type, each.entity_name) for each in entry.entity): outcome(
                    entry.error_code, None, entry.error_message
                )
                for entry in response.entries
            }

        return await self._calls.each(changes, CONTROLLER, ask)


class BlockingQuotas(Face[Quotas]):
    """`Quotas` for callers that wait."""

    describe = awaited(Quotas.describe)
    alter = awaited(Quotas.alter)


def _component(kind: str, name: str | AnyName | None) -> ComponentData:
    if isinstance(name, AnyName):
        return ComponentData(entity_type=kind, match_type=_ANY)
    return ComponentData(entity_type=kind, match_type=_DEFAULT if name is None else _EXACT, match=name)


def _sorted(entity: Iterable[tuple[str, str | None]]) -> Iterable[tuple[str, str | None]]:
    return sorted(entity, key=lambda pair: pair[0])
