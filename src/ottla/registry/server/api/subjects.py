"""`/subjects`: what is registered under a name."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.http.app import Request, Response, Route, route
from ottla.registry.server.api.services import Services, page, qualified_references, version_number
from ottla.registry.state.changes import delete_subject, delete_version
from ottla.registry.state.errors import RegistryError, schema_not_found, subject_not_found, version_not_found
from ottla.registry.state.records import Write
from ottla.registry.state.registration import Registered, SchemaRequest
from ottla.registry.state.state import Version
from ottla.registry.state.subjects import (
    ANY_CONTEXT,
    DEFAULT_CONTEXT,
    Subject,
    check_subject,
    parse_subject,
)


class Subjects:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._state = services.state
        self._security = services.security

    def routes(self) -> Sequence[Route]:
        return (
            route("GET", "/subjects", self.list),
            route("POST", "/subjects/{subject}", self.lookup),
            route("DELETE", "/subjects/{subject}", self.delete),
            route("GET", "/subjects/{subject}/metadata", self.latest_with_metadata),
            route("GET", "/subjects/{subject}/versions", self.versions),
            route("POST", "/subjects/{subject}/versions", self.register),
            route("GET", "/subjects/{subject}/versions/{version}", self.version),
            route("DELETE", "/subjects/{subject}/versions/{version}", self.delete_version),
            route("GET", "/subjects/{subject}/versions/{version}/schema", self.schema),
            route("GET", "/subjects/{subject}/versions/{version}/referencedby", self.referenced_by),
        )

    async def list(self, request: Request) -> Response:
        found = subjects_with_prefix(self._services, request)
        allowed = [each for each in found if self._security.may(request, "read", each)]
        return Response(page(allowed, request))

    async def lookup(self, request: Request, name: str) -> Response:
        subject = self._services.subject(name)
        self._security.check(request, "read", subject)
        asked = self._services.schema_request(request)
        deleted = request.flag("deleted")
        found = await self._services.leadership.frozen(
            lambda: self._services.registration.lookup(subject, asked, deleted=deleted)
        )
        if found is None:
            has = self._state.has_subjects(subject, deleted=deleted)
            raise schema_not_found() if has else subject_not_found(subject)
        return Response(await self._services.schema(request, found))

    async def register(self, request: Request, name: str) -> Response:
        services, settings = self._services, self._services.settings
        check_subject(name, settings.ottla_registry_subject_max_length)
        subject = services.subject(name)
        self._security.check(request, "write", subject)
        asked = services.schema_request(request)
        force = request.flag("force")

        def decide() -> tuple[Sequence[Write], Registered]:
            decision = services.registration.register(subject, asked, force=force)
            if decision.writes:
                self._check_room(subject)
            return decision.writes, decision.answer

        known = await self._known(subject, asked)
        if known is not None:
            return Response(_registered(known))
        return await services.write(request, decide, _registered, repeatable=True)

    async def _known(self, subject: str, asked: SchemaRequest) -> Registered | None:
        """What is registered already needs no leader."""
        registration = self._services.registration

        def look() -> Registered | None:
            try:
                decision = registration.register(subject, asked)
            except RegistryError:
                return None  # the leader may know more
            return None if decision.writes else decision.answer

        return await self._services.leadership.frozen(look)

    def _check_room(self, subject: str) -> None:
        settings = self._services.settings
        count = self._state.count_of_versions(subject)
        if count >= settings.ottla_registry_versions_max:
            raise RegistryError(42205, f"Subject {subject} has {count} versions, and may have no more")
        if not count and self._state.count_of_subjects() >= settings.ottla_registry_subjects_max:
            raise RegistryError(42205, "There are as many subjects as there may be")

    async def versions(self, request: Request, name: str) -> Response:
        subject = self._services.subject(name)
        self._security.check(request, "read", subject)
        only_deleted = request.flag("deletedOnly")
        negative = request.flag("deletedAsNegative")
        deleted = request.flag("deleted") or only_deleted or negative
        if not self._state.has_subjects(subject, deleted=deleted):
            raise subject_not_found(subject)
        found = [
            -each.value.version if negative and each.deleted else each.value.version
            for each in self._state.versions(subject)
            if (deleted if each.deleted else not only_deleted)
        ]
        return Response(page(found, request))

    async def version(self, request: Request, name: str, version: str) -> Response:
        found = self._version(request, name, version, deleted=request.flag("deleted"))
        made = await self._services.schema(request, found)
        return Response(made | qualified_references(request, found))

    async def schema(self, request: Request, name: str, version: str) -> Response:
        found = self._version(request, name, version, deleted=request.flag("deleted"))
        return Response((await self._services.text(request, found)).encode())

    async def referenced_by(self, request: Request, name: str, version: str) -> Response:
        found = self._version(request, name, version, deleted=True)
        referring = self._state.referring_to(found.key, deleted=request.flag("deleted"))
        ids = {each.value.id for each in self._services.readable(request, referring)}
        return Response(page(sorted(ids), request))

    def _version(self, request: Request, name: str, text: str, *, deleted: bool) -> Version:
        subject, number = self._services.subject(name), version_number(text)
        self._security.check(request, "read", subject)
        context, short = parse_subject(subject)
        found = self._state.version(subject, number, deleted=deleted)
        if found is None and context == DEFAULT_CONTEXT:
            elsewhere = (str(Subject(each, short)) for each in self._state.contexts()[1:])
            for other in elsewhere:
                found = self._state.version(other, number, deleted=deleted)
                if found is not None and self._security.may(request, "read", other):
                    return found
            found = None
        if found is None:
            has = self._state.has_subjects(subject, deleted=deleted)
            raise version_not_found(number) if has else subject_not_found(subject)
        return found

    async def latest_with_metadata(self, request: Request, name: str) -> Response:
        subject = self._services.subject(name)
        self._security.check(request, "read", subject)
        wanted = set(zip(request.query.get("key", []), request.query.get("value", []), strict=False))
        deleted = request.flag("deleted")
        for each in reversed(self._state.versions(subject)):
            metadata = each.content.metadata
            if (deleted or not each.deleted) and metadata and wanted <= set(metadata.properties):
                return Response(await self._services.schema(request, each))
        has = self._state.has_subjects(subject, deleted=deleted)
        raise schema_not_found() if has else subject_not_found(subject)

    async def delete(self, request: Request, name: str) -> Response:
        subject = self._services.subject(name)
        self._security.check(request, "delete", subject)
        permanent = request.flag("permanent")

        def decide() -> tuple[Sequence[Write], object]:
            return delete_subject(self._state, subject, permanent=permanent)

        return await self._services.write(request, decide, lambda versions: versions)

    async def delete_version(self, request: Request, name: str, version: str) -> Response:
        subject, number = self._services.subject(name), version_number(version)
        self._security.check(request, "delete", subject)
        permanent = request.flag("permanent")

        def decide() -> tuple[Sequence[Write], Sequence[int]]:
            return delete_version(self._state, subject, number, permanent=permanent)

        return await self._services.write(request, decide, lambda versions: versions[0])


def subjects_with_prefix(services: Services, request: Request, default: str = ANY_CONTEXT) -> list[str]:
    """Names of subjects, by `subjectPrefix`, `deleted` and `deletedOnly`."""
    prefix = request.text("subjectPrefix", default)
    deleted_only = request.flag("deletedOnly")
    names = services.state.subjects(deleted=deleted_only or request.flag("deleted"), live=not deleted_only)
    if prefix.startswith(ANY_CONTEXT):
        short = prefix.removeprefix(ANY_CONTEXT)
        return [each for each in names if parse_subject(each).name.startswith(short)]
    if prefix.startswith(":.:"):
        prefix = prefix[3:]
        return [each for each in names if not each.startswith(":.") and each.startswith(prefix)]
    return [each for each in names if each.startswith(prefix)]


def _registered(registered: Registered) -> object:
    """The schema itself only where it is not what was sent. Clients keep what they get under the id, and
    those of Protobuf sent it in another form.
    """
    made = {"id": registered.id, "version": registered.version, "guid": registered.content.guid}
    return made | (registered.content.to_json() if registered.is_populated else {})
