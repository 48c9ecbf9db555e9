"""SCRAM-SHA-256 and -512 (RFC 5802, RFC 7677) on the side of the broker: what is kept, and the exchange.

Names and passwords are taken as UTF-8 without SASLprep, as Kafka takes them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from ottla.metadata.credentials import MIN_ITERATIONS, ScramCredential
from ottla.protocol.codes import ScramMechanism
from ottla.security.sasl import AuthenticationFailedError, Identity, IdentityRefusedError

SALT_BYTES: Final = 26


def salted_password(mechanism: ScramMechanism, password: bytes, salt: bytes, iterations: int) -> bytes:
    """What AlterUserScramCredentials carries; it takes milliseconds, by design."""
    return hashlib.pbkdf2_hmac(mechanism.hash_name, password, salt, iterations)


def credential(mechanism: ScramMechanism, salted: bytes, salt: bytes, iterations: int) -> ScramCredential:
    """Of a salted password."""
    client_key = hmac.digest(salted, b"Client Key", mechanism.hash_name)
    stored_key = hashlib.new(mechanism.hash_name, client_key).digest()
    return ScramCredential(
        salt, stored_key, hmac.digest(salted, b"Server Key", mechanism.hash_name), iterations
    )


_SASL_NAME: Final = r"(?:[^\x00=,]|=2C|=3D)+"
_EXTENSIONS: Final = r"(?:,[A-Za-z]+=[^\x00,]+)*"
_FIRST: Final = re.compile(
    rf"(?P<header>n,(?:a=(?P<authzid>{_SASL_NAME}))?,)"
    rf"(?P<bare>n=(?P<name>{_SASL_NAME}),r=(?P<nonce>[\x21-\x2B\x2D-\x7E]+)(?P<extensions>{_EXTENSIONS}))"
)
_FINAL: Final = re.compile(
    rf"(?P<without_proof>c=(?P<channel>[A-Za-z0-9/+=]+),r=(?P<nonce>[\x21-\x2B\x2D-\x7E]+){_EXTENSIONS})"
    r",p=(?P<proof>[A-Za-z0-9/+=]+)"
)
_MALFORMED: Final = "the message is not of SCRAM"


class Lookup(NamedTuple):
    """What is known of a name that a client gives."""

    credential: ScramCredential
    identity: Identity
    """Who he is with it: himself, or the owner of the delegation token that the name is"""


class Scram:
    """One exchange: neither side tells the password, and both prove that they know it."""

    refusal = None

    def __init__(
        self,
        mechanism: ScramMechanism,
        look_up: Callable[[str, bool], Lookup | None],
        nonce: str,
        secret: bytes,
    ) -> None:
        """`look_up` is asked with a name, and whether it is a delegation token's id; `nonce` is printable and
        not to be foreseen; `secret` makes salts for users that are not there, so that they fail as late as a
        wrong password does, and with the same salt each time.
        """
        self._mechanism = mechanism
        self._look_up = look_up
        self._nonce = nonce
        self._secret = secret
        self._found: Lookup | None = None
        self._said = b""
        self._expected_nonce = ""
        self._header = b""
        self._is_over = False
        self.identity: Identity | None = None

    def respond(self, message: bytes) -> bytes:
        if self._is_over:
            raise AuthenticationFailedError("the exchange is over")
        try:
            text = message.decode()
        except UnicodeDecodeError:
            raise AuthenticationFailedError(_MALFORMED) from None
        if not self._said:
            return self._first(text)
        self._is_over = True
        return self._final(text)

    def _first(self, text: str) -> bytes:
        matched = _FIRST.fullmatch(text)
        if matched is None:
            raise AuthenticationFailedError(_MALFORMED)
        name = _name(matched["name"])
        is_token = "tokenauth=true" in matched["extensions"].split(",")
        self._found = self._look_up(name, is_token)
        asked_for = _name(matched["authzid"] or "")
        if asked_for not in ("", name):
            raise IdentityRefusedError(
                "Authentication failed: Client requested an authorization id that is different from username"
            )
        if self._found is None:
            salt = hmac.digest(self._secret, name.encode(), "sha256")[:SALT_BYTES]
            iterations = MIN_ITERATIONS
        else:
            salt, iterations = self._found.credential.salt, self._found.credential.iterations
        self._expected_nonce = matched["nonce"] + self._nonce
        self._header = matched["header"].encode()
        answer = f"r={self._expected_nonce},s={base64.b64encode(salt).decode()},i={iterations}".encode()
        self._said = matched["bare"].encode() + b"," + answer + b","
        return answer

    def _final(self, text: str) -> bytes:
        matched = _FINAL.fullmatch(text)
        if matched is None:
            raise AuthenticationFailedError(_MALFORMED)
        if not hmac.compare_digest(matched["nonce"], self._expected_nonce):
            raise AuthenticationFailedError("Invalid client nonce in the final client message.")
        if _decoded(matched["channel"]) != self._header:
            raise AuthenticationFailedError("the channel binding is not what was said before")
        said = self._said + matched["without_proof"].encode()
        proof = _decoded(matched["proof"])
        if self._found is None or not self._is_proof(self._found.credential, proof, said):
            raise AuthenticationFailedError("Invalid client credentials")
        self.identity = self._found.identity
        signature = hmac.digest(self._found.credential.server_key, said, self._mechanism.hash_name)
        return b"v=" + base64.b64encode(signature)

    def _is_proof(self, known: ScramCredential, proof: bytes, said: bytes) -> bool:
        signature = hmac.digest(known.stored_key, said, self._mechanism.hash_name)
        if len(proof) != len(signature):
            return False
        client_key = bytes(left ^ right for left, right in zip(proof, signature, strict=True))
        computed = hashlib.new(self._mechanism.hash_name, client_key).digest()
        return hmac.compare_digest(computed, known.stored_key)


def _name(text: str) -> str:
    return text.replace("=2C", ",").replace("=3D", "=")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise AuthenticationFailedError(_MALFORMED) from None
