"""`connect-configs`: records as Kafka's workers write them, replayed into the state of the cluster."""

from __future__ import annotations

import json

from ottla.connect.worker.configs import (
    ClusterConfigs,
    ConnectorChanged,
    ConnectorRemoved,
    RestartRequest,
    SessionKey,
    TargetStateChanged,
    TasksChanged,
    Write,
    connector_removed,
    connector_written,
    restart_written,
    session_key_written,
    target_state_written,
    task_count_written,
    tasks_committed,
    tasks_written,
)
from ottla.connect.worker.ids import ConnectorTaskId, TargetState


def replayed(state: ClusterConfigs, *writes: Write) -> list[object]:
    return [state.replay(write.key, write.value, state.offset) for write in writes]


def test_records_are_kafkas() -> None:
    (write,) = connector_written("c", {"name": "c"})
    assert write == (b"connector-c", b'{"properties":{"name":"c"}}')
    assert tasks_written("c", [{"a": "b"}]) == [(b"task-c-0", b'{"properties":{"a":"b"}}')]
    assert tasks_committed("c", 2) == (b"commit-c", b'{"tasks":2}')
    stopped = target_state_written("c", TargetState.STOPPED)
    assert stopped == (b"target-state-c", b'{"state":"PAUSED","state.v2":"STOPPED"}')
    assert task_count_written("c", 3) == (b"tasks-fencing-c", b'{"task-count":3}')
    restart = restart_written(RestartRequest("c", only_failed=True))
    assert restart == (b"restart-connector-c", b'{"include-tasks":false,"only-failed":true}')
    key = session_key_written(SessionKey(b"\x00\xff", "HmacSHA256", 5))
    wanted = {"key": "AP8=", "algorithm": "HmacSHA256", "creation-timestamp": 5}
    assert (key.key, json.loads(key.value or b"")) == (b"session-key", wanted)


def test_tasks_count_from_their_commit_on() -> None:
    state = ClusterConfigs()
    assert replayed(state, *connector_written("c", {"name": "c"})) == [ConnectorChanged("c")]
    assert replayed(state, *tasks_written("c", [{"n": "0"}, {"n": "1"}])) == [None, None]
    assert state.tasks("c") == []
    assert replayed(state, tasks_committed("c", 2)) == [TasksChanged("c")]
    assert state.tasks("c") == [ConnectorTaskId("c", 0), ConnectorTaskId("c", 1)]
    assert "c" in state.pending_fencing
    replayed(state, task_count_written("c", 2))
    assert "c" not in state.pending_fencing
    assert not state.tasks_differ("c", [{"n": "0"}, {"n": "1"}])
    assert state.tasks_differ("c", [{"n": "0"}])
    replayed(state, *connector_written("c", {"name": "c", "more": "x"}))
    assert state.tasks_differ("c", [{"n": "0"}, {"n": "1"}])  # made from another configuration


def test_commit_without_all_tasks_is_inconsistent_until_the_next() -> None:
    state = ClusterConfigs()
    replayed(state, *connector_written("c", {}), *tasks_written("c", [{}, {}])[1:], tasks_committed("c", 2))
    assert state.tasks("c") == []
    assert "c" in state.inconsistent
    replayed(state, *tasks_written("c", [{}, {}]), tasks_committed("c", 2))
    assert len(state.tasks("c")) == 2


def test_removed_connector_leaves_nothing() -> None:
    state = ClusterConfigs()
    replayed(
        state,
        *connector_written("c", {}, TargetState.PAUSED),
        *tasks_written("c", [{}]),
        tasks_committed("c", 1),
    )
    assert state.target_state("c") is TargetState.PAUSED
    assert replayed(state, *connector_removed("c")) == [ConnectorRemoved("c"), None]
    assert (state.connectors, state.task_configs, state.target_states) == ({}, {}, {})
    assert replayed(state, *tasks_written("c", [{}]), tasks_committed("c", 1)) == [None, None]


def test_target_state_of_an_older_worker() -> None:
    state = ClusterConfigs()
    replayed(state, *connector_written("c", {}))
    assert state.replay(b"target-state-c", b'{"state":"PAUSED"}', 1) == TargetStateChanged("c")
    assert state.replay(b"target-state-c", b'{"state":"PAUSED"}', 2) is None
    assert state.replay(b"target-state-c", b'{"state":"NONSENSE"}', 3) is None
    assert state.target_state("c") is TargetState.PAUSED


def test_rubbish_is_left_out() -> None:
    state = ClusterConfigs()
    for key, value in (
        (b"connector-c", b"{"),
        (b"connector-c", b"[]"),
        (b"task-c", b"{}"),
        (b"unknown", b"{}"),
        (None, None),
        (b"session-key", b'{"key":"*","algorithm":"a","creation-timestamp":1}'),
        (b"commit-c", b'{"tasks":"x"}'),
    ):
        assert state.replay(key, value, 0) is None
    assert state.connectors == {}
    assert state.session_key is None
