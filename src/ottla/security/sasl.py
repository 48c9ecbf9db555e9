"""The broker's side of SASL: what an exchange is, PLAIN (RFC 4616) and OAUTHBEARER's messages (RFC 7628)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

MAX_MESSAGE_BYTES: Final = 512 * 1024
"""`sasl.server.max.receive.size`: of what somebody says before he has proved anything"""

_NO_EXTENSIONS: Final[Mapping[str, str]] = MappingProxyType({})


class AuthenticationFailedError(Exception):
    """An exchange is over. The text is for who failed: nothing in it tells whether a user exists."""


class IdentityRefusedError(AuthenticationFailedError):
    """As the other, where Kafka tells the reason in place of a general sentence."""


class Identity(NamedTuple):
    """Who has proved to be somebody."""

    name: str
    expires_ms: int | None = None
    """When what he proved it by is over, in milliseconds since 1970; None where it does not end"""
    is_token_owner: bool = False
    """He came with a delegation token (KIP-48), by which no other token is had."""
    groups: tuple[str, ...] = ()
    """That he is in, as who gave him the token says"""


class Exchange(Protocol):
    """One attempt of one client, message by message."""

    @property
    def identity(self) -> Identity | None:
        """None until it is over and has succeeded."""

    @property
    def refusal(self) -> AuthenticationFailedError | None:
        """Why it fails, once that is known and the client has still a message to send; else None."""

    def respond(self, message: bytes) -> bytes:
        """To what the client says. AuthenticationFailedError ends the attempt; after success too."""


class Plain:
    """One message, with the password in it."""

    refusal = None

    def __init__(self, is_password: Callable[[str, str], bool]) -> None:
        """`is_password` is asked with a user's name and what he says is his password."""
        self._is_password = is_password
        self.identity: Identity | None = None

    def respond(self, message: bytes) -> bytes:
        if self.identity is not None:
            raise AuthenticationFailedError("the exchange is over")
        tokens = message.decode(errors="replace").split("\0", 3)  # of what may be nothing but zeros
        if len(tokens) != 3:
            raise IdentityRefusedError(f"Invalid SASL/PLAIN response: expected 3 tokens, got {len(tokens)}")
        asked_for, name, password = tokens
        if not name:
            raise IdentityRefusedError("Authentication failed: username not specified")
        if not password:
            raise IdentityRefusedError("Authentication failed: password not specified")
        if not self._is_password(name, password):
            raise IdentityRefusedError("Authentication failed: Invalid username or password")
        if asked_for not in ("", name):
            raise IdentityRefusedError(
                "Authentication failed: Client requested an authorization id that is different from username"
            )
        self.identity = Identity(name)
        return b""


def is_password_of(users: Mapping[str, str], name: str, password: str) -> bool:
    """Whether it is the one that `users` has for the name, as `user_NAME="..."` of a JAAS line gives it."""
    # A user that is not there takes as long as a wrong password.
    known = users.get(name)
    is_same = hmac.compare_digest(password.encode(errors="replace"), (known or "").encode(errors="replace"))
    return is_same and known is not None


class BearerToken(NamedTuple):
    """What a client of OAUTHBEARER says."""

    token: str
    authorization_id: str
    """As whom he wants to act; "" for the token's own"""
    extensions: Mapping[str, str] = _NO_EXTENSIONS


_BEARER: Final = re.compile(
    r"n,(?:a=(?P<authzid>(?:[\x01-\x7F](?<![=,])|=2C|=3D)+))?,\x01"
    r"(?P<pairs>(?:[A-Za-z]+=[\x21-\x7E \t\r\n]+\x01)*)\x01",
)
_AUTH: Final = re.compile(r"bearer +(?P<token>[-_~+/.a-z0-9]+=*)\s*", re.IGNORECASE)


def bearer_token(message: bytes) -> BearerToken:
    """A client's first message. AuthenticationFailedError for what is none."""
    try:
        text = message.decode()
    except UnicodeDecodeError:
        raise AuthenticationFailedError("the message is not of OAUTHBEARER") from None
    matched = _BEARER.fullmatch(text)
    if matched is None:
        raise AuthenticationFailedError("the message is not of OAUTHBEARER")
    pairs: dict[str, str] = {}
    for pair in matched["pairs"].split("\x01")[:-1]:
        name, _, value = pair.partition("=")
        if name in pairs:
            raise AuthenticationFailedError(f"{name} is said twice")
        pairs[name] = value
    auth = _AUTH.fullmatch(pairs.pop("auth", ""))
    if auth is None:
        raise AuthenticationFailedError("the message has no bearer token")
    asked_for = (matched["authzid"] or "").replace("=2C", ",").replace("=3D", "=")
    return BearerToken(auth["token"], asked_for, MappingProxyType(pairs))


_REFUSED: Final = b'{"status":"invalid_token"}'


class OAuthBearer:
    """A token that somebody else gave, who is trusted."""

    def __init__(self, validate: Callable[[BearerToken], Identity]) -> None:
        """`validate` raises AuthenticationFailedError for a token that is not to be believed; its text goes
        to the log alone.
        """
        self._validate = validate
        self.refusal: AuthenticationFailedError | None = None
        self.identity: Identity | None = None

    def respond(self, message: bytes) -> bytes:
        """A refusal is said as a challenge; the client's next message ends the exchange (RFC 7628, 3.2.3)."""
        if self.refusal is not None:
            raise IdentityRefusedError(_REFUSED.decode()) from self.refusal
        if self.identity is not None:
            raise AuthenticationFailedError("the exchange is over")
        said = bearer_token(message)
        try:
            identity = self._validate(said)
        except AuthenticationFailedError as refusal:
            self.refusal = refusal
            return _REFUSED
        if said.authorization_id not in ("", identity.name):
            asked_for = said.authorization_id[:100]
            raise IdentityRefusedError(
                f"Authentication failed: Client requested an authorization id ({asked_for}) "
                f"that is different from the token's principal name ({identity.name})"
            )
        self.identity = identity
        return b""
