"""Who asks, and what they may do.

Users are lines `NAME:HASH` of a file (`ottla registry password` makes a hash), bearer tokens lines
`NAME:SHA256-OF-THE-TOKEN`, or JSON Web Tokens signed by a key of a JWKS, and a client's certificate that the
listener's authorities signed names one by its common name. Rights are lines `PRINCIPAL OPERATIONS SUBJECTS`:
`alice read,write orders-*`, `* read *`. Without a file of rights whoever is let in may do everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ottla.client.errors import ConfigurationError, missing_extra
from ottla.http.app import Request
from ottla.http.basic import InThread, Users, lines_of, pairs_of
from ottla.registry.settings import RegistrySettings
from ottla.registry.state.errors import RegistryError

if TYPE_CHECKING:
    from ottla.registry.server.jwt import JsonWebTokens

ANONYMOUS: Final = "ANONYMOUS"
OPERATIONS: Final = ("read", "write", "delete", "config")


class Rule(NamedTuple):
    principal: str
    operations: frozenset[str]
    subjects: str
    """A name, or the beginning of names with a `*` behind it"""

    def allows(self, principal: str, operation: str, subject: str) -> bool:
        return (
            self.principal in ("*", principal)
            and operation in self.operations
            and (
                subject.startswith(self.subjects[:-1])
                if self.subjects.endswith("*")
                else subject == self.subjects
            )
        )


class Security:
    """ConfigurationError for files that make no sense. `in_thread` runs what takes long."""

    def __init__(self, settings: RegistrySettings, in_thread: InThread, now_s: Callable[[], float]) -> None:
        self._users = Users(settings.authentication_users_file, in_thread)
        self._tokens = {
            digest: name
            for name, digest in pairs_of(
                settings.authentication_tokens_file, "authentication.tokens.file", _check_digest
            ).items()
        }
        self._rules = _rules(settings.authorization_rules_file)
        self._certified = settings.ssl_client_authentication != "NONE"
        self._needed = (
            settings.authentication_users_file is not None
            or settings.authentication_tokens_file is not None
            or settings.oauthbearer_jwks_endpoint_url is not None
        )
        self._jwt = _json_web_tokens(settings, in_thread, now_s)

    async def authenticate(self, request: Request) -> None:
        """Say in the request who asks. RegistryError for who is nobody."""
        header = request.headers.get("authorization", "")
        name = await self._named_by(header) if header else None
        if name is None and self._certified and request.certificate:
            name = _common_name(request.certificate)
        if name is None and self._needed:
            raise RegistryError(401, "Unauthorized")
        request.principal = ANONYMOUS if name is None else name

    async def _named_by(self, header: str) -> str | None:
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() != "bearer":
            return await self._users.name_of(header)
        credentials = credentials.strip()
        name = self._tokens.get(hashlib.sha256(credentials.encode()).hexdigest())
        return name if name is not None or self._jwt is None else await self._jwt.name_of(credentials)

    def may(self, request: Request, operation: str, subject: str) -> bool:
        if self._rules is None:
            return True
        return any(each.allows(request.principal, operation, subject) for each in self._rules)

    def check(self, request: Request, operation: str, subject: str | None) -> None:
        """`subject` None: what holds for all. RegistryError where it is not allowed."""
        if not self.may(request, operation, subject or ""):
            what = "all subjects" if subject is None else f"Subject: {subject}"
            raise RegistryError(40301, f"User is denied operation {operation.capitalize()} on {what}")


def _json_web_tokens(
    settings: RegistrySettings, in_thread: InThread, now_s: Callable[[], float]
) -> JsonWebTokens | None:
    if settings.oauthbearer_jwks_endpoint_url is None:
        return None
    try:
        from ottla.registry.server.jwt import JsonWebTokens
    except ImportError as error:
        raise missing_extra("JSON Web Tokens", error, "registry-jwt") from error
    return JsonWebTokens(settings, in_thread, now_s)


def _common_name(certificate: Mapping[str, Any]) -> str | None:
    for part in certificate.get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return None


def _check_digest(value: str) -> bool:
    return len(value) == 64 and all(letter in "0123456789abcdef" for letter in value)


def _rules(location: str | None) -> list[Rule] | None:
    if location is None:
        return None
    rules = []
    for line in lines_of(location, "authorization.rules.file"):
        words = line.split()
        operations = frozenset(words[1].split(",")) if len(words) == 3 else frozenset({""})
        if operations == {"all"}:
            operations = frozenset(OPERATIONS)
        if not operations <= set(OPERATIONS):
            raise ConfigurationError(
                f"authorization.rules.file={location}: {line!r} is not PRINCIPAL OPERATIONS SUBJECTS "
                f"with {', '.join(OPERATIONS)} or all"
            )
        rules.append(Rule(words[0], operations, words[2]))
    return rules
