"""`/schemas`: schemas by their ids, which is what a consumer asks for."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.http.app import Request, Response, Route, route
from ottla.http.fields import INT_MAX
from ottla.registry.server.api.services import Services, page, qualified_references, schema_json
from ottla.registry.server.api.subjects import subjects_with_prefix
from ottla.registry.state.errors import RegistryError, schema_not_found
from ottla.registry.state.state import Version
from ottla.registry.state.subjects import DEFAULT_CONTEXT, Subject, parse_subject
from ottla.schemas.schema import SchemaType


class Schemas:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._state = services.state
        self._security = services.security

    def routes(self) -> Sequence[Route]:
        return (
            route("GET", "/schemas/ids/{id}", self.by_id),
            route("GET", "/schemas/ids/{id}/schema", self.text),
            route("GET", "/schemas/ids/{id}/subjects", self.subjects),
            route("GET", "/schemas/ids/{id}/versions", self.versions),
            route("GET", "/schemas/guids/{guid}", self.by_guid),
            route("GET", "/schemas/guids/{guid}/ids", self.ids_of_guid),
            route("GET", "/schemas/types", self.types),
            route("GET", "/schemas", self.list),
        )

    async def types(self, _request: Request) -> Response:
        return Response([SchemaType.JSON.value, SchemaType.PROTOBUF.value, SchemaType.AVRO.value])

    async def by_id(self, request: Request, id_: str) -> Response:
        found = self._found(request, id_)
        version = found[0]
        made = version.content.to_json() | {"schema": await self._services.text(request, version)}
        if "subject" in request.query:
            made |= {"subject": version.value.subject, "version": version.value.version}
        made |= {"guid": version.content.guid, "ts": version.timestamp}
        if version.deleted:
            made["deleted"] = True
        if request.flag("fetchMaxId"):
            made["maxId"] = self._state.highest_id(parse_subject(version.value.subject).context)
        return Response(made | qualified_references(request, version))

    async def text(self, request: Request, id_: str) -> Response:
        return Response((await self._services.text(request, self._found(request, id_)[0])).encode())

    async def subjects(self, request: Request, id_: str) -> Response:
        found = self._live(request, id_)
        return Response(page(list(dict.fromkeys(each.value.subject for each in found)), request))

    async def versions(self, request: Request, id_: str) -> Response:
        made = [
            {"subject": each.value.subject, "version": each.value.version}
            for each in self._live(request, id_)
        ]
        return Response(page(made, request))

    def _live(self, request: Request, id_: str) -> list[Version]:
        deleted = request.flag("deleted")
        found = self._found(request, id_, of_subject=False)
        return [each for each in found if deleted or not each.deleted]

    def _found(self, request: Request, text: str, *, of_subject: bool = True) -> list[Version]:
        """The versions with an id, those of the `subject` in front. RegistryError where there is none."""
        id_ = int(text) if text.isdecimal() and len(text) < 12 else -1
        if not 0 <= id_ <= INT_MAX:
            raise RegistryError(404, "HTTP 404 Not Found") if id_ < 0 else schema_not_found(text)
        asked = request.text("subject")
        context, name = parse_subject(self._services.subject(asked)) if asked else (DEFAULT_CONTEXT, "")
        found = self._state.by_id(id_, context)
        if name:
            found = self._of_subject(id_, Subject(context, name), found, only=of_subject)
        if not found:
            raise schema_not_found(id_)
        allowed = self._services.readable(request, found)
        if not allowed:
            self._security.check(request, "read", found[0].value.subject)
        return allowed

    def _of_subject(self, id_: int, subject: Subject, found: list[Version], *, only: bool) -> list[Version]:
        own = [each for each in found if each.value.subject == str(subject)]
        if own:
            return own if only else found
        if subject.context != DEFAULT_CONTEXT:
            return []
        for context in self._state.contexts()[1:]:
            there = self._state.by_id(id_, context)
            name = str(Subject(context, subject.name))
            own = [each for each in there if each.value.subject == name]
            if own:
                return own if only else there
        return found

    async def by_guid(self, request: Request, guid: str) -> Response:
        for context in self._state.contexts():
            for version in self._services.readable(request, self._state.by_guid(guid, context)):
                made = version.content.to_json() | {"guid": guid, "ts": version.timestamp}
                return Response(made | {"schema": await self._services.text(request, version)})
        raise schema_not_found(guid[:100])

    async def ids_of_guid(self, request: Request, guid: str) -> Response:
        made = []
        for context in self._state.contexts():
            found = self._services.readable(request, self._state.by_guid(guid, context))
            made += [{"context": context, "id": id_} for id_ in sorted({each.value.id for each in found})]
        return Response(made)

    async def list(self, request: Request) -> Response:
        latest_only, rule_type = request.flag("latestOnly"), request.text("ruleType")
        deleted = request.flag("deleted")
        found: list[Version] = []
        for subject in subjects_with_prefix(self._services, request, ""):
            if not self._security.may(request, "read", subject):
                continue
            versions = [each for each in self._state.versions(subject) if deleted or not each.deleted]
            found += versions[-1:] if latest_only else versions
        if rule_type:
            found = [each for each in found if each.content.rules and each.content.rules.has_type(rule_type)]
        some = page(found, request, self._services.settings.schema_search_max_limit)
        return Response([schema_json(each) for each in some])
