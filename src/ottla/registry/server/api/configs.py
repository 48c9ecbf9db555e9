"""`/config`, `/mode`, `/contexts`: what applies to subjects."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.http.app import Request, Response, Route, route
from ottla.http.fields import FieldError, Fields
from ottla.registry.server.api.services import Services, page
from ottla.registry.state.changes import delete_config, delete_context, delete_mode, set_mode, update_config
from ottla.registry.state.errors import RegistryError, not_permitted, subject_not_found
from ottla.registry.state.metadata import check_rules
from ottla.registry.state.records import CONFIG_NAMES, Config, Mode, Write, read_config, read_mode
from ottla.registry.state.subjects import (
    DEFAULT_CONTEXT,
    GLOBAL_CONTEXT,
    check_subject,
    normalised_context,
    parse_subject,
    prefix_of,
)
from ottla.schemas.compatibility import CompatibilityLevel


class Configs:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._state = services.state
        self._security = services.security

    def routes(self) -> Sequence[Route]:
        return (
            route("GET", "/config", self.get_config),
            route("PUT", "/config", self.put_config),
            route("DELETE", "/config", self.delete_config),
            route("GET", "/config/{subject}", self.get_config),
            route("PUT", "/config/{subject}", self.put_config),
            route("DELETE", "/config/{subject}", self.delete_config),
            route("GET", "/mode", self.get_mode),
            route("PUT", "/mode", self.put_mode),
            route("DELETE", "/mode", self.delete_mode),
            route("GET", "/mode/{subject}", self.get_mode),
            route("PUT", "/mode/{subject}", self.put_mode),
            route("DELETE", "/mode/{subject}", self.delete_mode),
            route("GET", "/contexts", self.contexts),
            route("DELETE", "/contexts/{context}", self.delete_context),
        )

    def _scope(self, names: Sequence[str]) -> str | None:
        """The subject or context; None for all."""
        if not names:
            return None
        subject = self._services.subject(names[0], follow=False)
        return None if parse_subject(subject) == (DEFAULT_CONTEXT, "") else subject

    # Config.

    async def get_config(self, request: Request, *names: str) -> Response:
        subject = self._scope(names)
        self._security.check(request, "read", subject)
        default_level = self._services.settings.schema_compatibility_level
        config = self._state.config(subject)
        if request.flag("defaultToGlobal") or (config is None and _is_global(subject)):
            config = self._state.config_in_scope(subject, default_level)
        if config is None:
            raise RegistryError(
                40408, f"Subject '{subject}' does not have subject-level compatibility configured"
            )
        made = config.to_json()
        return Response({"compatibilityLevel": default_level} | made)

    async def put_config(self, request: Request, *names: str) -> Response:
        subject = self._scope(names)
        self._security.check(request, "config", subject)
        given, changed = _config_request(request.json())

        def decide() -> tuple[Sequence[Write], Config]:
            self._check_room(self._state.config(subject) is None)
            return update_config(self._state, subject, given, changed)

        return await self._services.write(request, decide, _config_answer)

    async def delete_config(self, request: Request, *names: str) -> Response:
        subject = self._scope(names)
        self._security.check(request, "config", subject)
        level = {"compatibilityLevel": self._services.settings.schema_compatibility_level}

        def decide() -> tuple[Sequence[Write], dict[str, object]]:
            before = self._state.config(subject)
            writes = delete_config(self._state, subject)
            return writes, level | ({} if before is None else before.to_json())

        return await self._services.write(request, decide, lambda before: before)

    # Mode.

    async def get_mode(self, request: Request, *names: str) -> Response:
        subject = self._scope(names)
        self._security.check(request, "read", subject)
        mode = self._state.mode(subject)
        if request.flag("defaultToGlobal"):
            mode = self._state.mode_in_scope(subject)
        elif mode is None and _is_global(subject):
            mode = Mode.READWRITE
        if mode is None:
            raise RegistryError(40409, f"Subject '{subject}' does not have subject-level mode configured")
        return Response({"mode": mode.value})

    async def put_mode(self, request: Request, *names: str) -> Response:
        subject = self._scope(names)
        self._security.check(request, "config", subject)
        self._check_mutable()
        mode = _mode_request(request.json())
        if mode is Mode.FORWARD and subject != prefix_of(GLOBAL_CONTEXT):
            raise RegistryError(42204, "Forward mode only supported on global level")
        force = request.flag("force")

        def decide() -> tuple[Sequence[Write], Mode | None]:
            self._check_room(self._state.mode(subject) is None)
            return set_mode(self._state, subject, mode, force=force), mode

        return await self._services.write(request, decide, _mode_answer)

    async def delete_mode(self, request: Request, *names: str) -> Response:
        subject = self._scope(names)
        self._security.check(request, "config", subject)
        self._check_mutable()
        recursive = request.flag("recursive")

        def decide() -> tuple[Sequence[Write], Mode | None]:
            before = self._state.mode(subject) or (Mode.READWRITE if subject is None else None)
            return delete_mode(self._state, subject, recursive=recursive), before

        return await self._services.write(request, decide, _mode_answer)

    def _check_room(self, is_new: bool) -> None:
        most = self._services.settings.ottla_registry_subjects_max
        if is_new and self._state.count_of_settings() >= most:
            raise not_permitted("There are as many configs and modes as there may be")

    def _check_mutable(self) -> None:
        if not self._services.settings.mode_mutability:
            raise not_permitted("Mode changes are not allowed")

    # Contexts.

    async def contexts(self, request: Request) -> Response:
        prefix = request.text("contextPrefix")
        return Response(page([each for each in self._state.contexts() if each.startswith(prefix)], request))

    async def delete_context(self, request: Request, name: str) -> Response:
        try:
            context = normalised_context(name)
        except ValueError as error:
            raise RegistryError(400, str(error)) from None
        check_subject(prefix_of(context), self._services.settings.ottla_registry_subject_max_length)
        self._security.check(request, "delete", prefix_of(context))
        if not self._state.has_context(context) and context != DEFAULT_CONTEXT:
            raise subject_not_found(prefix_of(context))

        def decide() -> tuple[Sequence[Write], None]:
            return delete_context(self._state, context), None

        response = await self._services.write(request, decide, lambda nothing: nothing)
        response.status = 204 if response.status == 200 else response.status
        return response


def _is_global(subject: str | None) -> bool:
    return subject is None or parse_subject(subject).context == GLOBAL_CONTEXT


def _config_request(given: object) -> tuple[Config, list[str]]:
    """A config, and the fields of it that the request names. RegistryError for what is none."""
    try:
        if isinstance(given, dict) and "compatibility" in given:
            given = {**given, "compatibilityLevel": given["compatibility"]}
        fields = Fields(given, "config")
        config = read_config(fields)
    except FieldError as error:
        raise RegistryError(42203, str(error)) from None
    level = config.compatibility_level
    if level is not None:
        if level.upper() not in CompatibilityLevel.__members__:
            raise RegistryError(
                42203,
                "Invalid compatibility level. Valid values are none, backward, forward, full, "
                "backward_transitive, forward_transitive, and full_transitive",
            )
        config = read_config(Fields({**_dict(given), "compatibilityLevel": level.upper()}, "config"))
    check_rules(config.default_rules)
    check_rules(config.override_rules)
    return config, [field for field, name in CONFIG_NAMES.items() if name in fields]


def _dict(given: object) -> dict[str, object]:
    return given if isinstance(given, dict) else {}


def _config_answer(config: Config) -> object:
    made = config.to_json()
    level = made.pop("compatibilityLevel", None)
    return ({} if level is None else {"compatibility": level}) | made


def _mode_request(given: object) -> Mode | None:
    try:
        name = Fields(given, "request").text("mode")
        return None if name is None else read_mode(name)
    except FieldError as error:
        raise RegistryError(42204, str(error)) from None


def _mode_answer(mode: Mode | None) -> object:
    return {} if mode is None else {"mode": mode.value}
