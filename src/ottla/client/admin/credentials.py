"""Credentials: SCRAM's of users (KIP-554), and delegation tokens (KIP-48)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ottla.client.admin.calls import ANYWHERE, CONTROLLER, Calls, Node, outcome
from ottla.client.admin.results import Results
from ottla.client.errors import ClientError, ConfigurationError
from ottla.client.face import Face, awaited
from ottla.protocol.codes import ScramMechanism
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages import (
    alter_user_scram_credentials,
    create_delegation_token,
    describe_delegation_token,
    describe_user_scram_credentials,
    expire_delegation_token,
    renew_delegation_token,
)

__all__ = [
    "BlockingCredentials",
    "Credentials",
    "DelegationToken",
    "ScramCredential",
    "ScramDeletion",
    "ScramMechanism",
    "ScramUpsertion",
]

_DEFAULT_ITERATIONS: Final = 4096
_SALT_BYTES: Final = 32


class ScramCredential(NamedTuple):
    """What a user has; salts and keys are never shown."""

    mechanism: ScramMechanism
    iterations: int


class ScramUpsertion(NamedTuple):
    """A password to set; only what is derived from it with a `salt` (made by chance if None) is sent."""

    mechanism: ScramMechanism
    password: str
    iterations: int = _DEFAULT_ITERATIONS
    salt: bytes | None = None

    def __repr__(self) -> str:
        return f"<{self.mechanism.name} with {self.iterations} iterations>"


class ScramDeletion(NamedTuple):
    mechanism: ScramMechanism


class DelegationToken(NamedTuple):
    """A token; principals are "User:name", times milliseconds since the epoch."""

    token_id: str
    hmac: bytes
    owner: str
    requester: str
    issued_ms: int
    expires_ms: int
    max_ms: int
    renewers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<token {self.token_id} of {self.owner}>"


class Credentials:
    """Admin calls about credentials."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def describe_scram(
        self, users: Iterable[str] | None = None
    ) -> Results[str, Sequence[ScramCredential]]:
        """The SCRAM credentials of users (None: of all who have some)."""
        messages = describe_user_scram_credentials
        wanted = None if users is None else [messages.UserName(name=name) for name in dict.fromkeys(users)]
        response = await self._calls.one(
            messages.DescribeUserScramCredentialsRequest(users=wanted),
            messages.DescribeUserScramCredentialsResponse,
            ANYWHERE,
        )
        return Results(
            {
                each.user: outcome(
                    each.error_code,
                    [
                        ScramCredential(ScramMechanism(info.mechanism), info.iterations)
                        for info in each.credential_infos
                    ],
                    each.error_message,
                )
                for each in response.results
            }
        )

    async def alter_scram(self, changes: Mapping[str, ScramUpsertion | ScramDeletion]) -> Results[str, None]:
        """Set or delete a credential of each user."""
        messages = alter_user_scram_credentials

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, ClientError | None]:
            request = messages.AlterUserScramCredentialsRequest(
                deletions=[
                    messages.ScramCredentialDeletion(name=key, mechanism=change.mechanism)
                    for key in keys
                    if isinstance(change := changes[key], ScramDeletion)
                ],
                upsertions=[
                    self._upsertion(key, change)
                    for key in keys
                    if isinstance(change := changes[key], ScramUpsertion)
                ],
            )
            response = await self._calls.send(request, messages.AlterUserScramCredentialsResponse, node)
            return {
                each.user: outcome(each.error_code, None, each.error_message) for each in response.results
            }

        return await self._calls.each(changes, CONTROLLER, ask)

    def _upsertion(
        self, user: str, change: ScramUpsertion
    ) -> alter_user_scram_credentials.ScramCredentialUpsertion:
        if change.mechanism is ScramMechanism.UNKNOWN:
            raise ConfigurationError(f"{change.mechanism.name} is no mechanism for SCRAM credentials")
        salt = change.salt
        if salt is None:
            salt = self._calls.cluster.host.random.randbytes(_SALT_BYTES)
        salted = hashlib.pbkdf2_hmac(
            change.mechanism.hash_name, change.password.encode(), salt, change.iterations
        )
        return alter_user_scram_credentials.ScramCredentialUpsertion(
            name=user,
            mechanism=change.mechanism,
            iterations=change.iterations,
            salt=salt,
            salted_password=salted,
        )

    async def create_token(
        self,
        *,
        renewers: Iterable[str] = (),
        owner: str | None = None,
        max_lifetime_ms: int = -1,
    ) -> DelegationToken:
        """A token for the caller, or for `owner` (KIP-373); the broker limits its life (-1: its default)."""
        messages = create_delegation_token
        owner_type, owner_name = (None, None) if owner is None else _principal(owner)
        allowed = tuple(renewers)
        request = messages.CreateDelegationTokenRequest(
            owner_principal_type=owner_type,
            owner_principal_name=owner_name,
            renewers=[
                messages.CreatableRenewers(principal_type=kind, principal_name=name)
                for kind, name in map(_principal, allowed)
            ],
            max_lifetime_ms=max_lifetime_ms,
        )
        made = await self._calls.one(
            request,
            messages.CreateDelegationTokenResponse,
            CONTROLLER,
            min_version=None if owner is None else 3,
        )
        owned_by = f"{made.principal_type}:{made.principal_name}"
        return DelegationToken(
            made.token_id,
            made.hmac,
            owned_by,
            _requester(made) or owned_by,
            made.issue_timestamp_ms,
            made.expiry_timestamp_ms,
            made.max_timestamp_ms,
            allowed,
        )

    async def renew_token(self, hmac: bytes, *, period_ms: int = -1) -> int:
        """Have a token live on for a time (-1: the broker's default); when it will expire."""
        request = renew_delegation_token.RenewDelegationTokenRequest(hmac=hmac, renew_period_ms=period_ms)
        response = await self._calls.one(
            request, renew_delegation_token.RenewDelegationTokenResponse, CONTROLLER
        )
        return response.expiry_timestamp_ms

    async def expire_token(self, hmac: bytes, *, period_ms: int = -1) -> int:
        """Have a token expire after a time (-1: now); when it will."""
        request = expire_delegation_token.ExpireDelegationTokenRequest(
            hmac=hmac, expiry_time_period_ms=period_ms
        )
        response = await self._calls.one(
            request, expire_delegation_token.ExpireDelegationTokenResponse, CONTROLLER
        )
        return response.expiry_timestamp_ms

    async def describe_tokens(self, owners: Iterable[str] | None = None) -> Sequence[DelegationToken]:
        """The tokens of principals (None: all) that the caller may see."""
        messages = describe_delegation_token
        wanted = None
        if owners is not None:
            wanted = [
                messages.DescribeDelegationTokenOwner(principal_type=kind, principal_name=name)
                for kind, name in map(_principal, owners)
            ]
        response = await self._calls.one(
            messages.DescribeDelegationTokenRequest(owners=wanted),
            messages.DescribeDelegationTokenResponse,
            ANYWHERE,
            also_retried={ErrorCode.coordinator_load_in_progress},
        )
        return [
            DelegationToken(
                each.token_id,
                each.hmac,
                f"{each.principal_type}:{each.principal_name}",
                _requester(each) or f"{each.principal_type}:{each.principal_name}",
                each.issue_timestamp,
                each.expiry_timestamp,
                each.max_timestamp,
                tuple(f"{renewer.principal_type}:{renewer.principal_name}" for renewer in each.renewers),
            )
            for each in response.tokens
        ]


class BlockingCredentials(Face[Credentials]):
    """`Credentials` for callers that wait."""

    describe_scram = awaited(Credentials.describe_scram)
    alter_scram = awaited(Credentials.alter_scram)
    create_token = awaited(Credentials.create_token)
    renew_token = awaited(Credentials.renew_token)
    expire_token = awaited(Credentials.expire_token)
    describe_tokens = awaited(Credentials.describe_tokens)


def _requester(
    token: create_delegation_token.CreateDelegationTokenResponse
    | describe_delegation_token.DescribedDelegationToken,
) -> str | None:
    """Brokers before Kafka 3.3 don't say."""
    if not token.token_requester_principal_name:
        return None
    return f"{token.token_requester_principal_type}:{token.token_requester_principal_name}"


def _principal(text: str) -> tuple[str, str]:
    kind, colon, name = text.partition(":")
    if not colon:
        raise ConfigurationError(f"a principal is TYPE:NAME, as in User:alice, not {text!r}")
    return kind, name
