"""What a delegation token is shown by: HMAC-SHA-512 of its id, by a secret that all brokers have (KIP-48)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Final

from ottla.metadata.credentials import MIN_ITERATIONS, ScramCredential
from ottla.metadata.tokens import DelegationToken
from ottla.protocol.codes import ScramMechanism
from ottla.security.scram import SALT_BYTES, credential, salted_password


class TokenSecrets:
    """Of the tokens that there are; each is computed once."""

    def __init__(self, secret: str) -> None:
        self._secret: Final = secret.encode()
        self._tokens: Mapping[str, DelegationToken] = {}
        self._hmacs: dict[str, bytes] = {}
        self._by_hmac: dict[bytes, str] = {}
        self._credentials: dict[tuple[str, ScramMechanism], ScramCredential] = {}

    def hmac(self, token_id: str) -> bytes:
        known = self._hmacs.get(token_id)
        return hmac.digest(self._secret, token_id.encode(), "sha512") if known is None else known

    def find(self, tokens: Mapping[str, DelegationToken], shown: bytes) -> DelegationToken | None:
        """The token that is shown by these bytes. `tokens` are another object when they have changed."""
        self._follow(tokens)
        token_id = self._by_hmac.get(shown)
        return None if token_id is None else tokens[token_id]

    def credential(
        self, tokens: Mapping[str, DelegationToken], token_id: str, mechanism: ScramMechanism
    ) -> ScramCredential:
        """Of one of `tokens`, whose password is its HMAC in base64. The first time takes milliseconds."""
        self._follow(tokens)
        known = self._credentials.get((token_id, mechanism))
        if known is None:
            # All brokers have the same: a client may come to any of them.
            salt = hmac.digest(self._secret, f"{mechanism.mechanism} {token_id}".encode(), "sha256")[
                :SALT_BYTES
            ]
            password = base64.b64encode(self.hmac(token_id))
            salted = salted_password(mechanism, password, salt, MIN_ITERATIONS)
            known = self._credentials[token_id, mechanism] = credential(
                mechanism, salted, salt, MIN_ITERATIONS
            )
        return known

    def _follow(self, tokens: Mapping[str, DelegationToken]) -> None:
        if tokens is self._tokens:
            return
        self._tokens = tokens
        self._hmacs = {token_id: self.hmac(token_id) for token_id in tokens}
        self._by_hmac = {shown: token_id for token_id, shown in self._hmacs.items()}
        self._credentials = {key: known for key, known in self._credentials.items() if key[0] in tokens}
