"""Changes who may do what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ottla.controller.commit import Committer
from ottla.metadata import access
from ottla.metadata.acls import Acl, AclFilter
from ottla.protocol.errors import KafkaError


class AccessController:
    """What clients change of the ACLs; each item's result, or why it was refused. Raises as
    `Committer.change`.
    """

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def create_acls(self, wanted: Sequence[Acl]) -> Mapping[Acl, KafkaError | None]:
        return await self._committer.change(lambda image: access.create_acls(image, wanted))

    async def delete_acls(
        self, filters: Sequence[AclFilter]
    ) -> Mapping[AclFilter, tuple[Acl, ...] | KafkaError]:
        return await self._committer.change(lambda image: access.delete_acls(image, filters))
