"""Changes who may come, and who may do what.

How that is planned is loaded when clients ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ottla.protocol.errors import KafkaError

if TYPE_CHECKING:
    from ottla.controller.commit import Committer
    from ottla.metadata.access import CredentialChange
    from ottla.metadata.acls import Acl, AclFilter
    from ottla.metadata.tokens import DelegationToken


class AccessController:
    """What clients change of the ACLs and credentials; each item's result, or why it was refused. Raises as
    `Committer.change`.
    """

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def create_acls(self, wanted: Sequence[Acl]) -> Mapping[Acl, KafkaError | None]:
        from ottla.metadata.access import create_acls

        return await self._committer.change(lambda image: create_acls(image, wanted))

    async def delete_acls(
        self, filters: Sequence[AclFilter]
    ) -> Mapping[AclFilter, tuple[Acl, ...] | KafkaError]:
        from ottla.metadata.access import delete_acls

        return await self._committer.change(lambda image: delete_acls(image, filters))

    async def alter_credentials(self, changes: Sequence[CredentialChange]) -> Mapping[str, KafkaError | None]:
        """By the name of the user."""
        from ottla.metadata.access import alter_credentials

        return await self._committer.change(lambda image: alter_credentials(image, changes))

    async def put_token(self, token: DelegationToken) -> None:
        """Raises KafkaError(delegation_token_not_found) where it was changed meanwhile."""
        from ottla.metadata.access import put_token

        results = await self._committer.change(lambda image: put_token(image, token))
        result = results[token.token_id]
        if isinstance(result, KafkaError):
            raise result

    async def remove_tokens(self, tokens: Sequence[DelegationToken]) -> None:
        from ottla.metadata.access import remove_tokens

        await self._committer.change(lambda image: remove_tokens(image, tokens))
