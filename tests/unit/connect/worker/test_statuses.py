"""`connect-status`: what workers say of connectors, tasks and topics."""

from __future__ import annotations

from ottla.connect.worker.configs import RestartRequest
from ottla.connect.worker.ids import ConnectorTaskId
from ottla.connect.worker.restarts import plan_restart
from ottla.connect.worker.statuses import (
    State,
    Status,
    Statuses,
    TopicStatus,
    connector_status_written,
    task_status_written,
    topic_status_removed,
    topic_status_written,
)

TASK = ConnectorTaskId("a-b", 3)


def test_records_are_kafkas() -> None:
    running = Status(State.RUNNING, "host:8083", 4, None, "1.0")
    value = b'{"state":"RUNNING","trace":null,"worker_id":"host:8083","generation":4,"version":"1.0"}'
    assert connector_status_written("c", running) == (b"status-connector-c", value)
    assert task_status_written(TASK, running) == (b"status-task-a-b-3", value)
    assert task_status_written(TASK, Status(State.DESTROYED, "w")).value is None
    topic = topic_status_written(TopicStatus("t", "c", 0, 7))
    wanted = b'{"topic":{"name":"t","connector":"c","task":0,"discoverTimestamp":7}}'
    assert topic == (b"status-topic-t:connector-c", wanted)


def test_replayed() -> None:
    state = Statuses()
    running = Status(State.RUNNING, "w", 4)
    for write in (
        connector_status_written("c", running),
        task_status_written(TASK, running),
        topic_status_written(TopicStatus("t", "c", 0, 7)),
    ):
        state.replay(*write)
    assert state.connectors == {"c": running}
    assert state.task(TASK) == running
    assert list(state.topics["c"]) == ["t"]
    state.replay(*task_status_written(TASK, Status(State.UNASSIGNED, "w", 4)))
    assert state.task(TASK) == running  # a late goodbye of the generation before
    state.replay(*topic_status_removed("t", "c"))
    state.replay(*task_status_written(TASK, Status(State.DESTROYED, "w")))
    assert state.task(TASK) is None
    assert state.topics == {"c": {}}
    for key, value in ((b"status-connector-x", b"{"), (b"status-task-x", b"{}"), (b"nonsense", None)):
        state.replay(key, value)
    assert list(state.connectors) == ["c"]


def test_who_stops_says_so_only_where_nobody_began_later() -> None:
    state = Statuses()
    mine, theirs = Status(State.FAILED, "mine", 3), Status(State.RUNNING, "theirs", 4)
    assert state.may_write(None, mine)
    assert state.may_write(theirs, Status(State.FAILED, "theirs", 2))
    assert not state.may_write(theirs, mine)


def test_restart_plans() -> None:
    failed, fine = Status(State.FAILED, "w", 1, "why"), Status(State.RUNNING, "w", 1)
    tasks = {0: fine, 1: failed}
    assert plan_restart(RestartRequest("c"), None, tasks) is None
    plan = plan_restart(RestartRequest("c", only_failed=True, include_tasks=True), fine, tasks)
    assert plan is not None
    assert not plan.restarts_connector
    assert plan.tasks == (ConnectorTaskId("c", 1),)
    connector, shown = plan.shown(fine, tasks)
    assert connector is fine
    assert shown == {0: fine, 1: Status(State.RESTARTING, "w", 1)}
    everything = plan_restart(RestartRequest("c", include_tasks=True), fine, tasks)
    assert everything is not None
    assert everything.restarts_connector
    assert len(everything.tasks) == 2
