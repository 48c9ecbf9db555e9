"""Delegation tokens (KIP-48): what the cluster keeps of them. What they are shown by follows from their ids
and a secret that brokers have in their settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ottla.metadata import documents
from ottla.metadata.transaction import MetadataFormatError

TOKENS: Final = "/tokens/"
"""Below it are tokens, by their ids"""


class DelegationToken(NamedTuple):
    """Whoever knows its secret comes as its owner. Times are milliseconds since the epoch; principals are
    written `User:ann`.
    """

    token_id: str
    owner: str
    requester: str
    renewers: tuple[str, ...]
    issued_ms: int
    expires_ms: int
    max_ms: int
    """It cannot live longer than until then"""
    revision: int = 0
    """Of its key"""

    def is_expired(self, now_ms: int) -> bool:
        return self.expires_ms < now_ms or self.max_ms < now_ms

    def may_be_renewed_by(self, principal: str) -> bool:
        return principal == self.owner or principal in self.renewers


def token_key(token_id: str) -> str:
    return TOKENS + token_id


_FIELDS: Final[Mapping[str, type]] = {
    "owner": str,
    "requester": str,
    "renewers": list,
    "issued_ms": int,
    "expires_ms": int,
    "max_ms": int,
}


def encode_token(token: DelegationToken) -> bytes:
    return documents.encode({name: getattr(token, name) for name in _FIELDS})


def decode_token(key: str, value: bytes, revision: int) -> DelegationToken:
    """Raises MetadataFormatError for what `encode_token` does not write."""
    owner, requester, renewers, issued_ms, expires_ms, max_ms = documents.decode(value, _FIELDS)
    if not all(isinstance(each, str) for each in renewers):
        raise MetadataFormatError(f"{value!r} has renewers that are no principals")
    token_id = key.removeprefix(TOKENS)
    return DelegationToken(
        token_id, owner, requester, tuple(renewers), issued_ms, expires_ms, max_ms, revision
    )
