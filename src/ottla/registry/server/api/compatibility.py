"""`/compatibility`: whether a schema could be registered, and why not."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.http.app import Request, Response, Route, route
from ottla.registry.server.api.services import Services, version_number
from ottla.registry.state.errors import RegistryError, subject_not_found, version_not_found
from ottla.registry.state.records import LATEST
from ottla.registry.state.state import Version


class Compatibility:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[Route]:
        return (
            route("POST", "/compatibility/subjects/{subject}/versions", self.with_all),
            route("POST", "/compatibility/subjects/{subject}/versions/{version}", self.with_one),
        )

    async def with_all(self, request: Request, name: str) -> Response:
        """As registering would have it: with the latest, or all, as the level says."""
        subject = self._services.subject(name)
        return await self._answer(request, subject, self._services.state.live_versions(subject))

    async def with_one(self, request: Request, name: str, version: str) -> Response:
        subject, number = self._services.subject(name), version_number(version)
        state = self._services.state
        found = state.version(subject, number)
        if found is None and number != LATEST:
            raise version_not_found(number) if state.has_subjects(subject) else subject_not_found(subject)
        return await self._answer(request, subject, [] if found is None else [found])

    async def _answer(self, request: Request, subject: str, versions: Sequence[Version]) -> Response:
        self._services.security.check(request, "read", subject)
        asked = self._services.schema_request(request)
        registration, verbose = self._services.registration, request.flag("verbose")
        try:
            reasons = await self._services.leadership.frozen(
                lambda: registration.incompatibilities(subject, asked, versions)
            )
        except RegistryError as error:
            if not verbose or error.code != 42201:
                raise
            reasons = [error.message]
        made: dict[str, object] = {"is_compatible": not reasons}
        return Response(made | ({"messages": reasons} if verbose else {}))
