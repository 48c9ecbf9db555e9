"""Changes how much clients may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ottla.controller.commit import Committer
    from ottla.metadata.quota_changes import QuotaAlteration
    from ottla.metadata.quotas import QuotaEntity
    from ottla.protocol.errors import KafkaError


class QuotaController:
    """What clients change of the quotas; each entity's result, or why it was refused."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def alter_client_quotas(
        self, alterations: Sequence[QuotaAlteration], *, validate_only: bool = False
    ) -> Mapping[QuotaEntity, KafkaError | None]:
        """Raises as `Committer.change`."""
        from ottla.metadata.quota_changes import alter_client_quotas

        return await self._committer.change(
            lambda image: alter_client_quotas(image, alterations), validate_only=validate_only
        )
