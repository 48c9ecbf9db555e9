"""`connect-configs`: its records into the state of a Connect cluster, and changes into records. Pure.

Keys and values are Kafka's: `connector-NAME`, `task-NAME-0`, `commit-NAME`, `target-state-NAME`, `tasks-
fencing-NAME`, `restart-connector-NAME`, `logger-cluster-NAMESPACE`, `session-key`. Task configurations count
from their commit on.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ottla.connect.worker.ids import ConnectorTaskId, TargetState
from ottla.connect.worker.json_records import dump, load_object

_CONNECTOR: Final = "connector-"
_TASK: Final = "task-"
_COMMIT: Final = "commit-"
_TARGET_STATE: Final = "target-state-"
_FENCING: Final = "tasks-fencing-"
_RESTART: Final = "restart-connector-"
_LOGGER: Final = "logger-cluster-"
_SESSION_KEY: Final = "session-key"

_log: Final = logging.getLogger(__name__)

Config = Mapping[str, str]


class Write(NamedTuple):
    """A record to be; a value of None removes what its key had."""

    key: bytes
    value: bytes | None


class SessionKey(NamedTuple):
    """What requests between workers are signed with (KIP-507)."""

    key: bytes
    algorithm: str
    created_ms: int


class RestartRequest(NamedTuple):
    """KIP-745"""

    connector: str
    only_failed: bool = False
    include_tasks: bool = False


# What a record changed: the herder acts on these.


class ConnectorChanged(NamedTuple):
    name: str


class ConnectorRemoved(NamedTuple):
    name: str


class TasksChanged(NamedTuple):
    name: str


class TargetStateChanged(NamedTuple):
    name: str


class LoggerLevelSet(NamedTuple):
    namespace: str
    level: str


class SessionKeyChanged(NamedTuple):
    key: SessionKey


Change = (
    ConnectorChanged
    | ConnectorRemoved
    | TasksChanged
    | TargetStateChanged
    | LoggerLevelSet
    | SessionKeyChanged
    | RestartRequest
)


def connector_written(name: str, config: Config, state: TargetState | None = None) -> list[Write]:
    """A new configuration, after the state that the connector is to begin with, if one was asked for."""
    before = [] if state is None else [target_state_written(name, state)]
    return [*before, Write((_CONNECTOR + name).encode(), dump({"properties": dict(config)}))]


def connector_removed(name: str) -> list[Write]:
    return [Write((_CONNECTOR + name).encode(), None), Write((_TARGET_STATE + name).encode(), None)]


def tasks_written(name: str, configs: Sequence[Config]) -> list[Write]:
    return [
        Write(f"{_TASK}{name}-{number}".encode(), dump({"properties": dict(config)}))
        for number, config in enumerate(configs)
    ]


def tasks_committed(name: str, count: int) -> Write:
    """To be written when the configurations are in the log."""
    return Write((_COMMIT + name).encode(), dump({"tasks": count}))


def target_state_written(name: str, state: TargetState) -> Write:
    """Workers of before KIP-875 read `state`, which has no STOPPED."""
    older = TargetState.PAUSED if state is TargetState.STOPPED else state
    return Write((_TARGET_STATE + name).encode(), dump({"state": older.value, "state.v2": state.value}))


def task_count_written(name: str, count: int) -> Write:
    return Write((_FENCING + name).encode(), dump({"task-count": count}))


def restart_written(request: RestartRequest) -> Write:
    value = {"include-tasks": request.include_tasks, "only-failed": request.only_failed}
    return Write((_RESTART + request.connector).encode(), dump(value))


def logger_level_written(namespace: str, level: str) -> Write:
    return Write((_LOGGER + namespace).encode(), dump({"level": level}))


def session_key_written(key: SessionKey) -> Write:
    value = {
        "key": base64.b64encode(key.key).decode(),
        "algorithm": key.algorithm,
        "creation-timestamp": key.created_ms,
    }
    return Write(_SESSION_KEY.encode(), dump(value))


@dataclass(slots=True)
class ClusterConfigs:
    """What the log says up to `offset` (of the next record). Changed by `replay` alone."""

    offset: int = 0
    session_key: SessionKey | None = None
    connectors: dict[str, Config] = field(default_factory=dict)
    target_states: dict[str, TargetState] = field(default_factory=dict)
    task_counts: dict[str, int] = field(default_factory=dict)
    task_configs: dict[ConnectorTaskId, Config] = field(default_factory=dict)
    fenced_task_counts: dict[str, int] = field(default_factory=dict)
    """Of the last generation of tasks that may have transactional producers"""
    generations: dict[str, int] = field(default_factory=dict)
    """Of task configurations, from 0 up"""
    pending_fencing: dict[str, None] = field(default_factory=dict)
    """Connectors with tasks that are newer than their last round of fencing"""
    inconsistent: dict[str, None] = field(default_factory=dict)
    """Connectors whose commit had not all of their tasks before it: compaction took some"""
    applied: dict[str, Config] = field(default_factory=dict)
    """The connector's configuration that its tasks were made from"""
    _deferred: dict[str, dict[ConnectorTaskId, Config]] = field(default_factory=dict)

    def tasks(self, connector: str) -> list[ConnectorTaskId]:
        if connector in self.inconsistent or connector not in self.connectors:
            return []
        return [ConnectorTaskId(connector, number) for number in range(self.task_counts.get(connector, 0))]

    def target_state(self, connector: str) -> TargetState:
        return self.target_states.get(connector, TargetState.STARTED)

    def tasks_differ(self, connector: str, configs: Sequence[Config]) -> bool:
        """Whether these would be other tasks than there are."""
        if len(configs) != len(self.tasks(connector)):
            return True
        if self.applied.get(connector) != self.connectors.get(connector):
            return True
        return any(
            self.task_configs.get(ConnectorTaskId(connector, number)) != config
            for number, config in enumerate(configs)
        )

    def replay(self, key: bytes | None, value: bytes | None, offset: int) -> Change | None:
        """Take a record in; what cannot be understood is logged and left out, as Kafka's workers do."""
        self.offset = offset + 1
        name = (key or b"").decode("utf-8", "replace")
        content = None if value is None else load_object(value)
        if value is not None and content is None:
            _log.error("a record of the configs topic is left out, its value is no object: %s", name)
            return None
        for prefix, replay in (
            (_TARGET_STATE, self._target_state),
            (_CONNECTOR, self._connector),
            (_TASK, self._task),
            (_COMMIT, self._commit),
            (_RESTART, self._restart),
            (_FENCING, self._task_count),
            (_LOGGER, self._logger),
        ):
            if name.startswith(prefix):
                return replay(name.removeprefix(prefix), content)
        if name == _SESSION_KEY:
            return self._session_key(content)
        _log.error("a record of the configs topic is left out, its key says nothing: %s", name)
        return None

    def _connector(self, name: str, value: dict[str, object] | None) -> Change | None:
        if value is None:
            self._forget(name)
            return ConnectorRemoved(name)
        config = _properties(value)
        if config is None:
            _log.error("the configuration of connector %s has no properties", name)
            return None
        self.connectors[name] = config
        self.target_states.setdefault(name, TargetState.STARTED)
        return ConnectorChanged(name)

    def _forget(self, name: str) -> None:
        for each in (
            self.connectors,
            self.target_states,
            self.task_counts,
            self.generations,
            self.inconsistent,
            self.pending_fencing,
            self.applied,
            self._deferred,
        ):
            each.pop(name, None)
        for task in [each for each in self.task_configs if each.connector == name]:
            del self.task_configs[task]

    def _target_state(self, name: str, value: dict[str, object] | None) -> Change | None:
        if value is None:
            self.target_states.pop(name, None)
            if name in self.connectors:
                self.target_states[name] = TargetState.STARTED
            return None
        word = value.get("state.v2")
        if not isinstance(word, str):
            word = value.get("state")
        try:
            state = TargetState(word)
        except ValueError:
            _log.error("the target state of connector %s is unknown: %s", name, word)
            return None
        before = self.target_states.get(name)
        self.target_states[name] = state
        return TargetStateChanged(name) if before is not state and name in self.connectors else None

    def _task(self, name: str, value: dict[str, object] | None) -> Change | None:
        connector, dash, number = name.rpartition("-")
        config = None if value is None else _properties(value)
        if not dash or not number.isdecimal() or config is None:
            _log.error("the configuration of task %s is left out", name)
            return None
        self._deferred.setdefault(connector, {})[ConnectorTaskId(connector, int(number))] = config
        return None

    def _commit(self, name: str, value: dict[str, object] | None) -> Change | None:
        if name not in self.connectors:  # it was removed, and compaction took what said so
            self._forget(name)
            return None
        count = None if value is None else value.get("tasks")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            _log.error("the commit of connector %s has no number of tasks", name)
            return None
        deferred = self._deferred.pop(name, {})
        known = {
            **{each: None for each in self.task_configs if each.connector == name},
            **dict.fromkeys(deferred),
        }
        if all(ConnectorTaskId(name, number) in known for number in range(count)):
            if deferred:
                self.task_configs |= deferred
                self.generations[name] = self.generations.get(name, -1) + 1
            self.inconsistent.pop(name, None)
            self.applied[name] = self.connectors[name]
        else:
            self.inconsistent[name] = None
        self.task_counts[name] = count
        self.pending_fencing[name] = None
        return TasksChanged(name)

    def _task_count(self, name: str, value: dict[str, object] | None) -> Change | None:
        count = None if value is None else value.get("task-count")
        if isinstance(count, int):
            self.fenced_task_counts[name] = count
            self.pending_fencing.pop(name, None)
        return None

    def _restart(self, name: str, value: dict[str, object] | None) -> Change | None:
        if value is None:
            return None
        return RestartRequest(name, value.get("only-failed") is True, value.get("include-tasks") is True)

    def _logger(self, name: str, value: dict[str, object] | None) -> Change | None:
        level = None if value is None else value.get("level")
        return LoggerLevelSet(name, level) if isinstance(level, str) else None

    def _session_key(self, value: dict[str, object] | None) -> Change | None:
        if value is None:
            return None
        text, algorithm, created = value.get("key"), value.get("algorithm"), value.get("creation-timestamp")
        if not isinstance(text, str) or not isinstance(algorithm, str) or not isinstance(created, int):
            _log.error("the session key is left out: it is not whole")
            return None
        try:
            key = base64.b64decode(text, validate=True)
        except binascii.Error:
            _log.error("the session key is left out: it is no base64")
            return None
        self.session_key = SessionKey(key, algorithm, created)
        return SessionKeyChanged(self.session_key)


def _properties(value: Mapping[str, object]) -> Config | None:
    found = value.get("properties")
    if not isinstance(found, dict):
        return None
    return {name: text for name, text in found.items() if isinstance(text, str)}
