"""What the REST face asks of a worker, whatever kind of worker it is: answers and refusals are Kafka's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ottla.client.admin.admin import AsyncAdmin
from ottla.connect.errors import AlreadyExistsError, ConnectError, NotFoundError
from ottla.connect.worker.client_configs import sink_group
from ottla.connect.worker.configs import Config, RestartRequest, logger_level_written, restart_written
from ottla.connect.worker.crew import Crew
from ottla.connect.worker.ids import ConnectorTaskId, TargetState
from ottla.connect.worker.membership import Membership
from ottla.connect.worker.offset_changes import Change, parse_sink_offsets, sink_offsets_shown
from ottla.connect.worker.processes import RemoteError
from ottla.connect.worker.restarts import plan_restart
from ottla.connect.worker.settings import WorkerConfig
from ottla.connect.worker.statuses import Status
from ottla.connect.worker.stores import ConfigStore, OffsetStores, StatusStore

_log: Final = logging.getLogger(__name__)

_SETTLE_S: Final = 30.0
_REBALANCE_S: Final = 15.0
"""How long a request waits for the group"""
_LOOK_S: Final = 0.05

Json = dict[str, Any]


class BadRequestError(ConnectError):
    """Answered with 400."""


class TargetError(ConnectError):
    """Another worker is to be asked: the one at `url`, None where that is not known now."""

    def __init__(self, text: str, url: str | None) -> None:
        super().__init__(text)
        self.url = url


class RebalancingError(ConnectError):
    """Ask again when everybody knows what is whose."""


class Created(NamedTuple):
    is_new: bool
    info: Json


class Herder:
    def __init__(
        self,
        config: WorkerConfig,
        crew: Crew,
        configs: ConfigStore,
        statuses: StatusStore,
        offsets: OffsetStores,
        admin: AsyncAdmin,
        *,
        is_standalone: bool,
    ) -> None:
        self._config = config
        self._crew = crew
        self._configs = configs
        self._statuses = statuses
        self._offsets = offsets
        self._admin = admin
        self._is_standalone = is_standalone

    @property
    def _membership(self) -> Membership:
        return self._crew.membership

    # What there is.

    def connectors(self) -> list[str]:
        return list(self._configs.state.connectors)

    async def info(self, name: str) -> Json:
        """NotFoundError."""
        self._check_known(name)
        return await self._info(name, self._configs.state.connectors[name])

    async def _info(self, name: str, config: Config) -> Json:
        return {
            "name": name,
            "config": dict(config),
            "tasks": [{"connector": name, "task": each.task} for each in self._configs.state.tasks(name)],
            "type": await self._type(config),
        }

    async def _type(self, config: Config) -> str:
        return await self._crew.kind_of_class(config.get("connector.class", "")) or "unknown"

    def _check_known(self, name: str, text: str = "Connector {} not found") -> None:
        if name not in self._configs.state.connectors:
            raise NotFoundError(text.format(name))

    async def status(self, name: str) -> Json:
        """NotFoundError."""
        state = self._statuses.state
        status = state.connectors.get(name)
        if status is None:
            raise NotFoundError(f"No status found for connector {name}")
        return await self._shown(name, status, state.tasks.get(name, {}))

    async def _shown(self, name: str, status: Status, tasks: Mapping[int, Status]) -> Json:
        return {
            "name": name,
            "connector": _state(status),
            "tasks": [{"id": number, **_state(each)} for number, each in sorted(tasks.items())],
            "type": await self._type(self._configs.state.connectors.get(name, {})),
        }

    def task_status(self, task: ConnectorTaskId) -> Json:
        """NotFoundError."""
        status = self._statuses.state.task(task)
        if status is None:
            raise NotFoundError(f"No status found for task {task}")
        return {"id": task.task, **_state(status)}

    def task_configs(self, name: str) -> list[Json]:
        """NotFoundError."""
        self._check_known(name)
        state = self._configs.state
        return [
            {"id": {"connector": name, "task": each.task}, "config": dict(state.task_configs.get(each, {}))}
            for each in state.tasks(name)
        ]

    def topics(self, name: str) -> Json:
        return {name: {"topics": sorted(self._statuses.state.topics.get(name, {}))}}

    async def reset_topics(self, name: str) -> None:
        self._statuses.forget_topics(name)
        await self._statuses.settled()

    # Plugins.

    async def plugins(self) -> list[Json]:
        found: list[Json] = await self._crew.runtime.inspector.ask("plugins")
        return found

    async def plugin_config(self, name: str) -> list[Json]:
        """NotFoundError."""
        found: list[Json] | None = await self._crew.runtime.inspector.ask(
            "definition", name=name, converters=self._config.converters
        )
        if found is None:
            raise NotFoundError(f"Unknown plugin {name}.")
        return found

    async def validate(self, config: Mapping[str, str | None]) -> Json:
        """BadRequestError for a class that there is not."""
        if config.get("connector.class") is None:
            raise BadRequestError("Connector config contains no connector type")
        given = {
            name: value
            for name, value in config.items()
            if name != "config.providers" and not name.startswith("config.providers.")
        }
        texts = {name: value for name, value in given.items() if value is not None}
        resolved: dict[str, str | None] = {**given, **self._crew.resolve(texts)}
        try:
            infos: Json = await self._crew.runtime.inspector.ask(
                "validate",
                timeout_s=self._config.settings.ottla_connect_rest_timeout_ms / 1000,
                config=resolved,
                converters=self._config.converters,
                group_id=self._config.settings.group_id,
                exactly_once=self._config.exactly_once,
            )
        except RemoteError as error:
            if error.kind == "org.apache.kafka.common.config.ConfigException":
                raise BadRequestError(str(error)) from error
            raise
        return redacted(infos, given, resolved)

    async def _check(self, config: Mapping[str, str | None]) -> None:
        infos = await self.validate(config)
        if not infos["error_count"]:
            return
        errors = [text for each in infos["configs"] for text in (each["value"] or {}).get("errors", ())]
        listed = "\n".join(errors)
        raise BadRequestError(
            f"Connector configuration is invalid and contains the following {infos['error_count']} "
            f"error(s):\n{listed}\n"
            "You can also find the above list of errors at the endpoint "
            "`/connector-plugins/{connectorType}/config/validate`"
        )

    # Changes. Those that only the leader makes raise TargetError elsewhere.

    async def _until_settled(self) -> None:
        """A rebalance is soon over; RebalancingError where it is not."""
        deadline = asyncio.get_running_loop().time() + _REBALANCE_S
        while not self._membership.is_settled:
            if asyncio.get_running_loop().time() >= deadline:
                raise RebalancingError("the group is rebalancing")
            await asyncio.sleep(_LOOK_S)

    async def _check_leads(self, text: str) -> None:
        await self._until_settled()
        if not self._membership.is_leader:
            raise TargetError(text, self._membership.leader_url)

    async def put_config(
        self,
        name: str,
        config: Mapping[str, str | None],
        *,
        may_replace: bool,
        state: TargetState | None = None,
    ) -> Created:
        """BadRequestError, AlreadyExistsError, TargetError."""
        await self._check(config)
        await self._check_leads("Only the leader can set connector configs.")
        is_new = name not in self._configs.state.connectors
        if not is_new and not may_replace:
            raise AlreadyExistsError(f"Connector {name} already exists")
        texts = {key: value for key, value in config.items() if value is not None}
        info = await self._info(name, texts)
        await self._configs.put_connector(name, texts, state)
        if self._is_standalone:
            await self._settled()
            info = await self._info(name, texts)
        return Created(is_new, info)

    async def _settled(self) -> None:
        async with asyncio.timeout(_SETTLE_S):
            await self._crew.idle.wait()
            await self._statuses.settled()

    async def patch_config(self, name: str, patch: Mapping[str, str | None]) -> Created:
        """None in place of a value takes it away."""
        await self._check_leads("Only the leader can set connector configs.")
        self._check_known(name)
        merged = {**self._configs.state.connectors[name], **patch}
        config = {key: value for key, value in merged.items() if value is not None}
        return await self.put_config(name, config, may_replace=True)

    async def delete(self, name: str) -> None:
        await self._check_leads("Only the leader can delete connector configs.")
        self._check_known(name)
        await self._configs.remove_connector(name)
        if self._is_standalone:
            await self._settled()

    async def set_state(self, name: str, state: TargetState) -> None:
        """Paused or started; every worker may."""
        self._check_known(name, "Unknown connector {}")
        await self._configs.put_target_state(name, state)

    async def stop(self, name: str) -> None:
        self._check_known(name, "Connector {} not found" if self._is_standalone else "Unknown connector {}")
        await self._check_leads("Only the leader can transition connectors to the STOPPED state.")
        await self._configs.put_tasks(name, [])
        await self._configs.put_target_state(name, TargetState.STOPPED)
        if self._is_standalone:
            await self._settled()

    async def put_tasks(self, name: str, configs: Sequence[Config]) -> None:
        """What another worker's connector wants."""
        await self._check_leads("Only the leader may write task configurations.")
        self._check_known(name)
        if configs and self._configs.state.target_state(name) is TargetState.STOPPED:
            raise BadRequestError(f"Cannot submit non-empty set of task configs for stopped connector {name}")
        if self._configs.state.tasks_differ(name, configs):
            await self._configs.put_tasks(name, configs)

    # Restarts.

    async def restart_connector(self, name: str) -> None:
        text = "Connector {} not found" if self._is_standalone else "Unknown connector: {}"
        self._check_known(name, text)
        await self._check_mine(
            name,
            "Cannot restart connector since it is not assigned to this member",
            "Only the leader can process restart requests.",
        )
        async with self._crew.lock:
            await self._crew.restart_connector(name)

    async def restart_task(self, task: ConnectorTaskId) -> None:
        text = "Connector {} not found" if self._is_standalone else "Unknown connector: {}"
        self._check_known(task.connector, text)
        if task not in self._configs.state.tasks(task.connector):
            raise NotFoundError(f"Task {task} not found" if self._is_standalone else f"Unknown task: {task}")
        elsewhere = "Cannot restart task since it is not assigned to this member"
        await self._check_mine(task, elsewhere, elsewhere)
        async with self._crew.lock:
            await self._crew.restart_tasks([task])

    async def _check_mine(self, subject: str | ConnectorTaskId, elsewhere: str, not_leading: str) -> None:
        await self._until_settled()
        membership = self._membership
        mine = membership.assignment
        if subject in (mine.tasks if isinstance(subject, ConnectorTaskId) else mine.connectors):
            return
        if membership.is_leader:
            raise TargetError(elsewhere, membership.owner_url(subject))
        raise TargetError(not_leading, membership.leader_url)

    async def restart(self, request: RestartRequest) -> Json:
        """What will be restarted, by whoever runs it."""
        name = request.connector
        self._check_known(name, "Unknown connector: {}")
        await self._check_leads("Only the leader can process restart requests.")
        state = self._statuses.state
        plan = plan_restart(request, state.connectors.get(name), state.tasks.get(name, {}))
        if plan is None:
            raise NotFoundError(f"Status for connector {name} not found")
        shown = await self._shown(name, *plan.shown(state.connectors[name], state.tasks.get(name, {})))
        await self._configs.write([restart_written(request)])
        return shown

    # Offsets (KIP-875).

    async def offsets(self, name: str) -> Json:
        self._check_known(name)
        config = self._crew.resolve(self._configs.state.connectors[name])
        if await self._crew.kind_of(name) == "sink":
            return sink_offsets_shown(await self._group_offsets(config, name))
        found = await self._offsets.all(name, config)
        return {"offsets": [{"partition": each.partition, "offset": each.offset} for each in found]}

    async def _group_offsets(self, config: Config, name: str) -> dict[tuple[str, int], int]:
        group = sink_group(config, name)
        listed = await self._admin.group_offsets.list([group])
        if group not in listed.succeeded:
            return {}
        return {
            (each.topic, each.partition): committed.offset
            for each, committed in listed.succeeded[group].succeeded.items()
            if committed is not None
        }

    async def change_offsets(self, name: str, changes: Sequence[Change] | None) -> Json:
        """None: all are reset."""
        if changes is not None and not changes:
            raise ConnectError("The offsets to be altered may not be null or empty")
        await self._check_leads("Only the leader can process external offsets modification requests")
        self._check_known(name)
        known = self._configs.state
        if known.target_state(name) is not TargetState.STOPPED or known.task_counts.get(name, 0):
            raise BadRequestError(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be "
                "done for the "
                f"specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            )
        config = self._crew.resolve(known.connectors[name])
        if await self._crew.kind_of(name) == "sink":
            was_looked_at = await self._change_sink(name, config, changes)
        else:
            was_looked_at = await self._change_source(name, config, changes)
        what = "reset" if changes is None else "altered"
        if was_looked_at:
            return {"message": f"The offsets for this connector have been {what} successfully"}
        return {
            "message": f"The Connect framework-managed offsets for this connector have been {what} "
            "successfully. However, if "
            f"this connector manages offsets externally, they will need to be manually {what} in the "
            "system that the "
            "connector uses."
        }

    async def _change_source(self, name: str, config: Config, changes: Sequence[Change] | None) -> bool:
        if changes is None:
            wanted = [Change(each.partition, None) for each in await self._offsets.all(name, config)]
        else:
            wanted = list(changes)
        if self._crew.fence is not None:
            await self._crew.fence(name)
        was_looked_at: bool = await self._crew.runtime.inspector.ask(
            "alter_offsets", config=dict(config), offsets=[list(each) for each in wanted]
        )
        if wanted:
            await self._offsets.write(name, config, [(each.partition or {}, each.offset) for each in wanted])
        return was_looked_at

    async def _change_sink(self, name: str, config: Config, changes: Sequence[Change] | None) -> bool:
        if changes is None:
            wanted: dict[tuple[str, int], int | None] = dict.fromkeys(await self._group_offsets(config, name))
        else:
            try:
                wanted = parse_sink_offsets(changes)
            except ValueError as error:
                raise BadRequestError(str(error)) from None
        was_looked_at: bool = await self._crew.runtime.inspector.ask(
            "alter_offsets", config=dict(config), offsets=[[*each, offset] for each, offset in wanted.items()]
        )
        group = sink_group(config, name)
        if changes is None:
            deleted = await self._admin.groups.delete([group])
            failure = deleted.errors.get(group)
            if failure is not None and failure.code is not None and failure.code.name != "group_id_not_found":
                raise ConnectError(
                    f"Failed to reset consumer group offsets for sink connector {name}: {failure}"
                )
            return was_looked_at
        from ottla.client.core.metadata import TopicPartition

        set_to = {TopicPartition(*each): offset for each, offset in wanted.items() if offset is not None}
        forgotten = [TopicPartition(*each) for each, offset in wanted.items() if offset is None]
        if set_to:
            (await self._admin.group_offsets.alter(group, set_to)).check()
        if forgotten:
            (await self._admin.group_offsets.delete(group, forgotten)).check()
        return was_looked_at

    # Loggers.

    async def set_cluster_level(self, namespace: str, level: str) -> None:
        await self._configs.write_unprivileged(logger_level_written(namespace, level))

    async def check_health(self) -> None:
        """Returns when this worker takes part. ConnectError, TimeoutError."""
        async with self._crew.lock:
            await self._configs.refresh()


def _state(status: Status) -> Json:
    shown: Json = {"state": status.state.value, "worker_id": status.worker_id}
    if status.trace:
        shown["trace"] = status.trace
    if status.version not in (None, "undefined"):
        shown["version"] = status.version
    elif status.version is None:
        shown["version"] = None
    return shown


def redacted(infos: Json, given: Mapping[str, str | None], resolved: Mapping[str, str | None]) -> Json:
    """What configuration providers filled in is shown to nobody."""
    hidden = {name: value for name, value in given.items() if resolved.get(name) != value}
    if not hidden:
        return infos
    errors = 0
    for each in infos["configs"]:
        value = each["value"]
        if value is None:
            continue
        if value["name"] in hidden:
            value["value"] = hidden[value["name"]]
            value["recommended_values"] = []
            if value["errors"]:
                text = "the value resolved from the config provider reference failed validation"
                value["errors"] = [f"Invalid value for configuration '{value['name']}': {text}"]
        errors += len(value["errors"])
    infos["error_count"] = errors
    return infos
