"""What handlers work with, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ottla.http.app import Request, Response
from ottla.http.client import UnreachableError
from ottla.http.fields import INT_MAX, FieldError, Fields
from ottla.registry.server.dialect import OFFSET_HEADER, was_forwarded
from ottla.registry.server.forwarding import Forwarder
from ottla.registry.server.leadership import Leadership, NotLeadingError
from ottla.registry.server.log import SchemasLog
from ottla.registry.server.security import Security
from ottla.registry.settings import RegistrySettings
from ottla.registry.state.election import Identity
from ottla.registry.state.errors import RegistryError, invalid_version
from ottla.registry.state.metadata import check_rules, read_metadata, read_rule_set
from ottla.registry.state.records import LATEST, Write, read_kind, read_references
from ottla.registry.state.registration import NO_ID, Registration, SchemaRequest
from ottla.registry.state.state import RegistryState, Version
from ottla.registry.state.subjects import beside, check_subject, normalised

T = TypeVar("T")

_AGAIN_S: Final = 0.2
_UNCERTAIN: Final = (50001, 50002, 50003)
"""What was asked may have been done"""


@dataclass(frozen=True, slots=True)
class Services:
    settings: RegistrySettings
    state: RegistryState
    log: SchemasLog
    leadership: Leadership
    registration: Registration
    security: Security
    forwarder: Forwarder
    cluster_id: str

    async def write(
        self,
        request: Request,
        decide: Callable[[], tuple[Sequence[Write], T]],
        answer: Callable[[T], object],
        *,
        repeatable: bool = False,
    ) -> Response:
        """Have what `decide` says written by whoever leads, and give the answer when it is seen here.

        `repeatable`: what may have been done can be asked for again; then it is until an answer comes.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self.settings.ottla_registry_leader_wait_ms / 1000
        while True:
            leader = await self.leadership.leader()
            try:
                if leader is None:
                    decided, offset = await self.leadership.write(decide)
                    headers = {OFFSET_HEADER: str(offset)} if was_forwarded(request) else {}
                    return Response(answer(decided), headers=headers)
                if was_forwarded(request):
                    raise RegistryError(50004, "This instance does not lead.")
                response = await self._forward(leader, request)
                if not repeatable or response.status < 500 or loop.time() > until:
                    return await self._forwarded(request, response)
            except (NotLeadingError, UnreachableError) as error:
                if loop.time() > until:
                    raise RegistryError(50003, f"Error while forwarding the request: {error}") from error
            except RegistryError as error:
                if not repeatable or error.code not in _UNCERTAIN or loop.time() > until:
                    raise
            await asyncio.sleep(_AGAIN_S)

    async def _forward(self, leader: Identity, request: Request) -> Response:
        """The leader's answer. RegistryError where it gives none, or leads no more: what was asked may be
        done.
        """
        asked = asyncio.ensure_future(self.forwarder.send(leader, request))
        changed = asyncio.ensure_future(self.leadership.changed_from(leader))
        try:
            await asyncio.wait([asked, changed], return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            raise RegistryError(50003, f"Error while forwarding the request: {leader.url} leads no more")
        finally:
            asked.cancel()
            changed.cancel()

    async def _forwarded(self, request: Request, response: Response) -> Response:
        """What the leader has written is to be seen here, too, by whoever asks next."""
        offset = response.headers.pop(OFFSET_HEADER, "")
        if offset.isdecimal():
            try:
                async with asyncio.timeout(self.settings.kafkastore_timeout_ms / 1000):
                    await self.log.taken_in(int(offset))
            except TimeoutError:
                raise RegistryError(50002, f"{request.method} is done, but not seen here in time") from None
        return response

    async def text(self, request: Request, version: Version) -> str:
        """A schema in the `format` that is asked for."""
        form = request.text("format").strip()
        if not form:
            return version.content.text
        return await self.leadership.frozen(lambda: self.registration.formatted(version, form))

    async def schema(self, request: Request, version: Version) -> dict[str, object]:
        """A version as most answers have it."""
        return schema_json(version) | {"schema": await self.text(request, version)}

    def readable(self, request: Request, versions: Iterable[Version]) -> list[Version]:
        """Those that whoever asks may read."""
        return [each for each in versions if self.security.may(request, "read", each.value.subject)]

    def subject(self, name: str, *, follow: bool = True) -> str:
        """As it is stored; `follow`: what it is an alias of. RegistryError for what can be no subject."""
        subject = normalised(name)
        check_subject(subject, self.settings.ottla_registry_subject_max_length, of_config=True)
        if follow:
            config = self.state.config(subject)
            if config is not None and config.alias:
                return beside(subject, config.alias)
        return subject

    def schema_request(self, request: Request) -> SchemaRequest:
        """The schema in a body. RegistryError for what is none."""
        given = request.json()
        try:
            fields = Fields(given, "request")
            text = fields.text("schema") or ""
            references = tuple(read_references(fields))
            version = fields.number("version", -1) or 0
            id_ = fields.number("id", -1)
            made = SchemaRequest(
                text,
                read_kind(fields),
                references,
                read_metadata(fields.raw("metadata")),
                read_rule_set(fields.raw("ruleSet")),
                version,
                NO_ID if id_ is None else id_,
                request.flag("normalize"),
            )
        except FieldError as error:
            raise RegistryError(42201, str(error)) from None
        if len(text) > self.settings.ottla_registry_schema_max_chars:
            raise RegistryError(
                42209, f"The schema has more than {self.settings.ottla_registry_schema_max_chars} characters"
            )
        if len(references) > self.settings.ottla_registry_references_max:
            raise RegistryError(
                42201, f"The schema has more than {self.settings.ottla_registry_references_max} references"
            )
        check_rules(made.rules)
        return made


def version_number(text: str) -> int:
    """`LATEST` for `latest`. RegistryError for what is neither that nor a number."""
    text = text.strip()
    if text.lower() == "latest":
        return LATEST
    try:
        number = int(text) if len(text) < 12 else 0
    except ValueError:
        number = 0
    if number != LATEST and not 0 < number <= INT_MAX:
        raise invalid_version(text[:100])
    return number


def schema_json(version: Version) -> dict[str, object]:
    """A version as most answers have it."""
    made: dict[str, object] = {
        "subject": version.value.subject,
        "version": version.value.version,
        "id": version.value.id,
        "guid": version.content.guid,
        **version.content.to_json(),
        "ts": version.timestamp,
    }
    return made | ({"deleted": True} if version.deleted else {})


def qualified_references(request: Request, version: Version) -> dict[str, object]:
    """`references` with their subjects' contexts, where `referenceFormat` asks for these."""
    content, subject = version.content, version.value.subject
    if request.text("referenceFormat") != "qualified" or not content.references:
        return {}
    references = (each._replace(subject=beside(subject, each.subject)) for each in content.references)
    return {"references": [each.to_json() for each in references]}


def page(found: list[T], request: Request, max_limit: int | None = None) -> list[T]:
    """What `offset` and `limit` ask for."""
    offset, limit = max(request.number("offset", 0), 0), request.number("limit", -1)
    if max_limit is not None and (limit < 0 or limit > max_limit):
        limit = max_limit
    return found[offset : offset + limit] if limit > 0 else found[offset:]
