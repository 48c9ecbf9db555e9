"""The paths of the REST face, each one call of the herder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeVar
from urllib.parse import quote

from ottla.connect.errors import AlreadyExistsError, ConnectError, NotFoundError
from ottla.connect.rest.forwarding import ALGORITHM, SIGNATURE, Forwarder, is_signed
from ottla.connect.rest.loggers import Loggers
from ottla.connect.worker.configs import RestartRequest, SessionKey
from ottla.connect.worker.herder import BadRequestError, Created, Herder, RebalancingError, TargetError
from ottla.connect.worker.ids import ConnectorTaskId, TargetState
from ottla.connect.worker.offset_changes import Change
from ottla.connect.worker.settings import WorkerSettings
from ottla.http.app import Dialect, Request, Response, Route, route
from ottla.http.errors import HttpError
from ottla.http.fields import FieldError, load

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

_STATES: Final = {
    "RUNNING": TargetState.STARTED,
    "PAUSED": TargetState.PAUSED,
    "STOPPED": TargetState.STOPPED,
}
_NOT_FOUND: Final = "HTTP 404 Not Found"
_HEALTH_S: Final = 10.0


def refusal(error: Exception) -> HttpError | None:
    """What an exception is answered with."""
    match error:
        case NotFoundError():
            return HttpError(404, str(error))
        case AlreadyExistsError():
            return HttpError(409, str(error))
        case BadRequestError():
            return HttpError(400, str(error))
        case RebalancingError():
            return HttpError(
                409,
                "Cannot complete request momentarily due to stale configuration (typically caused by a "
                "concurrent config "
                "change)",
            )
        case TimeoutError():
            return HttpError(500, "Request timed out")
        case ConnectError():
            return HttpError(500, str(error))
    return None


DIALECT: Final = Dialect(realm="connect", refusal=refusal)


def json_body(request: Request) -> object:
    """None for an empty one. HttpError for what is no JSON."""
    if not request.body.strip():
        return None
    try:
        return load(request.body)
    except FieldError as error:
        raise HttpError(400, f"Invalid JSON: {error}") from None


def config_body(request: Request) -> dict[str, str | None]:
    """Numbers and booleans become their texts, as Jackson has it. HttpError."""
    value = json_body(request)
    if not isinstance(value, dict):
        raise HttpError(
            500 if value is None else 400, None if value is None else "A configuration is an object of texts"
        )
    return texts_of(value)


def texts_of(value: Mapping[str, object]) -> dict[str, str | None]:
    texts: dict[str, str | None] = {}
    for name, each in value.items():
        if each is None or isinstance(each, str):
            texts[name] = each
        elif isinstance(each, bool):
            texts[name] = "true" if each else "false"
        elif isinstance(each, int | float):
            texts[name] = str(each)
        else:
            raise HttpError(
                500,
                f"Cannot deserialize value of type `java.lang.String` from "
                f"{'Object' if isinstance(each, dict) else 'Array'} value",
            )
    return texts


def _named(name: str, config: dict[str, str | None]) -> None:
    """HttpError where a configuration says another name than the path."""
    included = config.get("name")
    if included is None:
        config["name"] = name
    elif included != name:
        raise HttpError(
            400,
            f"Connector name configuration ({included}) doesn't match connector name in the URL ({name})",
        )


class Connectors:
    def __init__(
        self,
        herder: Herder,
        forwarder: Forwarder,
        settings: WorkerSettings,
        session_key: Callable[[], SessionKey | None],
        *,
        verifies: bool,
        fence: Callable[[str], Awaitable[None]],
    ) -> None:
        self._herder = herder
        self._forwarder = forwarder
        self._settings = settings
        self._session_key = session_key
        self._verifies = verifies
        self._fence = fence

    def routes(self) -> Iterable[Route]:
        one = "/connectors/{name}"
        return (
            route("GET", "/connectors", self.listed),
            route("POST", "/connectors", self.create),
            route("GET", one, self.info),
            route("DELETE", one, self.delete),
            route("GET", f"{one}/config", self.config),
            route("PUT", f"{one}/config", self.put_config),
            route("PATCH", f"{one}/config", self.patch_config),
            route("GET", f"{one}/status", self.status),
            route("GET", f"{one}/topics", self.topics),
            route("PUT", f"{one}/topics/reset", self.reset_topics),
            route("POST", f"{one}/restart", self.restart),
            route("PUT", f"{one}/stop", self.stop),
            route("PUT", f"{one}/pause", self.pause),
            route("PUT", f"{one}/resume", self.resume),
            route("GET", f"{one}/tasks", self.tasks),
            route("POST", f"{one}/tasks", self.put_tasks),
            route("GET", f"{one}/tasks/{{task}}/status", self.task_status),
            route("POST", f"{one}/tasks/{{task}}/restart", self.restart_task),
            route("GET", f"{one}/offsets", self.offsets),
            route("PATCH", f"{one}/offsets", self.alter_offsets),
            route("DELETE", f"{one}/offsets", self.reset_offsets),
            route("PUT", f"{one}/fence", self.fence),
        )

    async def _here_or_there(self, request: Request, work: Awaitable[Response]) -> Response:
        try:
            async with asyncio.timeout(self._settings.ottla_connect_rest_timeout_ms / 1000):
                return await work
        except TargetError as error:
            return await self._forwarder.forward(request, error.url)

    async def listed(self, request: Request) -> Response:
        herder = self._herder
        if "expand" not in request.query:
            return Response(herder.connectors())
        found: dict[str, dict[str, object]] = {}
        for name in herder.connectors():
            try:
                found[name] = {
                    each: await (herder.status(name) if each == "status" else herder.info(name))
                    for each in request.query["expand"]
                    if each in ("status", "info")
                }
            except NotFoundError:  # it is new, or going
                continue
        return Response(found)

    async def create(self, request: Request) -> Response:
        body = json_body(request)
        if not isinstance(body, dict):
            raise HttpError(
                500 if body is None else 400, None if body is None else "A connector is an object"
            )
        name = str(body["name"]).strip() if body.get("name") is not None else ""
        given = body.get("config")
        if not isinstance(given, dict):
            raise HttpError(
                500, 'Cannot invoke "java.util.Map.get(Object)" because "connectorConfig" is null'
            )
        config = texts_of(given)
        _named(name, config)
        state: TargetState | None = None
        if body.get("initial_state") is not None:
            word = str(body["initial_state"]).upper()
            if word not in _STATES:
                raise HttpError(
                    500, f"There is no initial state {body['initial_state']}: RUNNING, PAUSED or STOPPED"
                )
            state = _STATES[word]

        async def work() -> Response:
            created = await self._herder.put_config(name, config, may_replace=False, state=state)
            return Response(created.info, 201, {"location": _location(name)})

        return await self._here_or_there(request, work())

    async def info(self, request: Request, name: str) -> Response:  # noqa: ARG002 - a handler's shape
        return Response(await self._herder.info(name))

    async def config(self, request: Request, name: str) -> Response:  # noqa: ARG002
        return Response((await self._herder.info(name))["config"])

    async def put_config(self, request: Request, name: str) -> Response:
        config = config_body(request)
        _named(name, config)

        async def work() -> Response:
            return _created(name, await self._herder.put_config(name, config, may_replace=True))

        return await self._here_or_there(request, work())

    async def patch_config(self, request: Request, name: str) -> Response:
        patch = config_body(request)

        async def work() -> Response:
            return Response((await self._herder.patch_config(name, patch)).info)

        return await self._here_or_there(request, work())

    async def delete(self, request: Request, name: str) -> Response:
        return await self._here_or_there(request, _without_body(self._herder.delete(name)))

    async def status(self, request: Request, name: str) -> Response:  # noqa: ARG002
        return Response(await self._herder.status(name))

    async def topics(self, request: Request, name: str) -> Response:  # noqa: ARG002
        if not self._settings.topic_tracking_enable:
            raise HttpError(403, "Topic tracking is disabled.")
        return Response(self._herder.topics(name))

    async def reset_topics(self, request: Request, name: str) -> Response:  # noqa: ARG002
        if not self._settings.topic_tracking_enable:
            raise HttpError(403, "Topic tracking is disabled.")
        if not self._settings.topic_tracking_allow_reset:
            raise HttpError(403, "Topic tracking reset is disabled.")
        await self._herder.reset_topics(name)
        return Response(None, 202)

    async def restart(self, request: Request, name: str) -> Response:
        wanted = RestartRequest(name, request.flag("onlyFailed"), request.flag("includeTasks"))
        if not wanted.only_failed and not wanted.include_tasks:
            return await self._here_or_there(request, _without_body(self._herder.restart_connector(name)))

        async def work() -> Response:
            return Response(await self._herder.restart(wanted), 202)

        return await self._here_or_there(request, work())

    async def stop(self, request: Request, name: str) -> Response:
        return await self._here_or_there(request, _without_body(self._herder.stop(name)))

    async def pause(self, request: Request, name: str) -> Response:  # noqa: ARG002
        await self._herder.set_state(name, TargetState.PAUSED)
        return Response(None, 202)

    async def resume(self, request: Request, name: str) -> Response:  # noqa: ARG002
        await self._herder.set_state(name, TargetState.STARTED)
        return Response(None, 202)

    async def tasks(self, request: Request, name: str) -> Response:  # noqa: ARG002
        return Response(self._herder.task_configs(name))

    async def task_status(self, request: Request, name: str, task: str) -> Response:  # noqa: ARG002
        return Response(self._herder.task_status(_task(name, task)))

    async def restart_task(self, request: Request, name: str, task: str) -> Response:
        return await self._here_or_there(request, _without_body(self._herder.restart_task(_task(name, task))))

    async def offsets(self, request: Request, name: str) -> Response:  # noqa: ARG002
        return Response(await self._herder.offsets(name))

    async def alter_offsets(self, request: Request, name: str) -> Response:
        changes = _changes(json_body(request))

        async def work() -> Response:
            return Response(await self._herder.change_offsets(name, changes))

        return await self._here_or_there(request, work())

    async def reset_offsets(self, request: Request, name: str) -> Response:
        async def work() -> Response:
            return Response(await self._herder.change_offsets(name, None))

        return await self._here_or_there(request, work())

    # Between workers.

    async def put_tasks(self, request: Request, name: str) -> Response:
        self._check_signature(request)
        body = json_body(request)
        if not isinstance(body, list) or not all(isinstance(each, dict) for each in body):
            raise HttpError(400, "Configurations of tasks are a list of objects")
        configs = [{key: text for key, text in texts_of(each).items() if text is not None} for each in body]
        return await self._here_or_there(request, _without_body(self._herder.put_tasks(name, configs), 200))

    async def fence(self, request: Request, name: str) -> Response:
        self._check_signature(request)
        return await self._here_or_there(request, _without_body(self._fence(name), 200))

    def _check_signature(self, request: Request) -> None:
        if not self._verifies:
            return
        signature, algorithm = request.headers.get(SIGNATURE), request.headers.get(ALGORITHM)
        if signature is None or algorithm is None:
            raise HttpError(400, "Internal request missing required signature")
        if algorithm not in self._settings.inter_worker_verification_algorithms:
            allowed = ", ".join(self._settings.inter_worker_verification_algorithms)
            raise HttpError(
                400,
                f"This worker does not support the '{algorithm}' key signing algorithm used by other "
                "workers. This worker "
                f"is currently configured to use: [{allowed}]. Check that all workers' configuration files "
                "permit the same "
                "set of signature algorithms, and correct any misconfigured worker and restart it.",
            )
        key = self._session_key()
        if key is None:
            raise HttpError(
                503,
                "This worker is still starting up and has not been able to read a session key from the "
                "config topic yet",
            )
        if not is_signed(key, algorithm, signature, request.body):
            raise HttpError(403, "Internal request contained invalid signature.")


def _location(name: str) -> str:
    return f"/connectors/{quote(name, safe='')}"


def _created(name: str, created: Created) -> Response:
    if created.is_new:
        return Response(created.info, 201, {"location": _location(name)})
    return Response(created.info)


async def _without_body(work: Awaitable[None], status: int = 204) -> Response:
    await work
    return Response(None, status)


def _task(name: str, task: str) -> ConnectorTaskId:
    if not task.isdecimal() or len(task) > 9:
        raise HttpError(404, _NOT_FOUND)
    return ConnectorTaskId(name, int(task))


def _changes(body: object) -> list[Change]:
    """HttpError, ConnectError."""
    offsets = body.get("offsets") if isinstance(body, dict) else None
    if not isinstance(offsets, list) or not offsets:
        raise HttpError(400, "Partitions / offsets need to be provided for an alter offsets request")
    changes: list[Change] = []
    for each in offsets:
        partition = each.get("partition") if isinstance(each, dict) else None
        offset = each.get("offset") if isinstance(each, dict) else None
        if not isinstance(partition, dict | None) or not isinstance(offset, dict | None):
            raise HttpError(400, "A partition and an offset are objects")
        changes.append(Change(partition, offset))
    return changes


class Server:
    """Plugins, loggers, and the worker itself."""

    def __init__(
        self, herder: Herder, loggers: Loggers, version: str, commit: str, cluster_id: str | None
    ) -> None:
        self._herder = herder
        self._loggers = loggers
        self._about = {"version": version, "commit": commit, "kafka_cluster_id": cluster_id}
        self.is_ready = False

    def routes(self) -> Iterable[Route]:
        return (
            route("GET", "/", self.root),
            route("GET", "/health", self.health),
            route("GET", "/connector-plugins", self.plugins),
            route("GET", "/connector-plugins/{name}/config", self.plugin_config),
            route("PUT", "/connector-plugins/{name}/config/validate", self.validate),
            route("GET", "/admin/loggers", self.loggers),
            route("GET", "/admin/loggers/{logger}", self.logger),
            route("PUT", "/admin/loggers/{logger}", self.set_level),
        )

    async def root(self, request: Request) -> Response:  # noqa: ARG002
        return Response(self._about)

    async def health(self, request: Request) -> Response:  # noqa: ARG002
        try:
            async with asyncio.timeout(_HEALTH_S):
                await self._herder.check_health()
        except (ConnectError, TimeoutError):
            if not self.is_ready:
                return Response({"status": "starting", "message": "Worker is still starting up."}, 503)
            message = "Worker was unable to handle this request and may be unable to handle other requests."
            return Response({"status": "unhealthy", "message": message}, 500)
        ready = "Worker has completed startup and is ready to handle requests."
        return Response({"status": "healthy", "message": ready})

    async def plugins(self, request: Request) -> Response:
        only_connectors = request.text("connectorsOnly", "true").lower() != "false"
        found = await self._herder.plugins()
        return Response([each for each in found if not only_connectors or each["type"] in ("source", "sink")])

    async def plugin_config(self, request: Request, name: str) -> Response:  # noqa: ARG002
        return Response(await self._herder.plugin_config(name))

    async def validate(self, request: Request, name: str) -> Response:
        config = config_body(request)
        included = config.get("connector.class")
        if included is not None and not _plain(included).endswith(_plain(name)):
            raise HttpError(400, f"Included connector type {included} does not match request type {name}")
        try:
            return Response(await self._herder.validate(config))
        except BadRequestError as error:  # which Kafka's workers take for a failure of theirs
            kind = "org.apache.kafka.connect.runtime.rest.errors.BadRequestException"
            raise HttpError(500, f"{kind}: {error}") from error

    async def loggers(self, request: Request) -> Response:  # noqa: ARG002
        return Response(self._loggers.all())

    async def logger(self, request: Request, logger: str) -> Response:  # noqa: ARG002
        found = self._loggers.level(logger)
        if found is None:
            raise HttpError(404, f"Logger {logger} not found.")
        return Response(found)

    async def set_level(self, request: Request, logger: str) -> Response:
        body = json_body(request)
        level = body.get("level") if isinstance(body, dict) else None
        if level is None:
            raise HttpError(400, "Desired 'level' parameter was not specified in request.")
        if not isinstance(level, str) or not self._loggers.is_level(level):
            raise HttpError(404, f"invalid log level '{level}'.")
        if request.text("scope", "worker").lower() == "cluster":
            await self._herder.set_cluster_level(logger, level)
            return Response(None, 204)
        return Response(self._loggers.set(logger, level))


def _plain(name: str) -> str:
    """A class without `Connector` at its end."""
    return name.removesuffix("Connector") if name != "Connector" else name
