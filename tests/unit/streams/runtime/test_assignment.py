"""Who gets which task."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.streams.runtime.assignment import Client, Limits, Plan, assign, lag_of
from ottla.streams.runtime.protocol import RUNNING, UNKNOWN, TaskId

TASKS = [TaskId(0, partition) for partition in range(6)]
STATE = dict.fromkeys(TASKS, 90_000)
IDS = st.builds(TaskId, st.integers(0, 2), st.integers(0, 5))
CLIENTS = st.dictionaries(
    st.sampled_from("ABCD"),
    st.builds(
        lambda members, lags, owned: (members, lags, owned),
        st.integers(1, 3),
        st.dictionaries(IDS, st.integers(0, 50_000), max_size=6),
        st.sets(IDS, max_size=4),
    ),
    min_size=1,
)


@given(
    tasks=st.sets(IDS, min_size=1),
    some=st.sets(IDS),
    ends=st.sampled_from([0, 10_000, 50_000]),
    given_clients=CLIENTS,
    standbys=st.integers(0, 2),
    warmups=st.integers(0, 2),
)
@settings(deadline=None)
def test_each_task_is_run_once_and_work_is_balanced_in_the_end(
    tasks: set[TaskId],
    some: set[TaskId],
    ends: int,
    given_clients: dict[str, object],
    standbys: int,
    warmups: int,
) -> None:
    stateful = dict.fromkeys(sorted(tasks & some), ends)
    taken: set[TaskId] = set()
    clients = {}
    for name, (count, lags, owned) in given_clients.items():  # type: ignore[misc]
        mine = sorted((owned & tasks) - taken)
        taken |= set(mine)
        members = {f"{name}{n}": mine if n == 0 else [] for n in range(count)}
        clients[name] = Client(members, lags | dict.fromkeys(mine, 0))
    limits = Limits(max_warmup_replicas=warmups, standby_replicas=standbys)
    for _ in range(20):
        plan = assign(tasks, stateful, clients, limits)
        _check(plan, tasks, set(stateful))
        if not plan.needs_probing:
            break
        clients = _carried_out(plan, clients)
    assert not plan.needs_probing or warmups == 0
    again = assign(tasks, stateful, _carried_out(plan, clients), limits)
    assert {m: sorted(t) for m, t in again.active.items()} == {m: sorted(t) for m, t in plan.active.items()}
    if not plan.needs_probing:
        threads = sum(len(client.members) for client in clients.values())
        for client in clients.values():
            share = len(tasks) * len(client.members) / threads
            assert abs(sum(len(plan.active[member]) for member in client.members) - share) < 2


def _check(plan: Plan, tasks: set[TaskId], stateful: set[TaskId]) -> None:
    assert sorted(task for owned in plan.active.values() for task in owned) == sorted(tasks)
    for member, standby in plan.standby.items():
        assert stateful.issuperset(standby)
        assert not set(standby) & set(plan.active[member])


def _carried_out(plan: Plan, clients: dict[str, Client]) -> dict[str, Client]:
    """What clients say of themselves after a while: all state is warm."""
    return {
        name: Client(
            {member: plan.active[member] for member in client.members},
            {task: 0 for member in client.members for task in (*plan.active[member], *plan.standby[member])},
        )
        for name, client in clients.items()
    }


def test_a_task_stays_until_its_state_is_warm_elsewhere() -> None:
    running = Client({"a": TASKS}, dict.fromkeys(TASKS, 0))
    clients = {"A": running, "B": Client({"b": []})}
    plan = assign(TASKS, STATE, clients, Limits(max_warmup_replicas=2))
    assert (plan.active["a"], plan.active["b"]) == (TASKS, [])
    assert len(plan.standby["b"]) == 2
    assert plan.needs_probing
    warm = Client({"b": []}, dict.fromkeys(plan.standby["b"], 100))
    plan = assign(TASKS, STATE, {"A": running, "B": warm}, Limits(max_warmup_replicas=2))
    assert plan.active["b"] == sorted(warm.lags)


def test_without_state_anywhere_tasks_are_spread_at_once() -> None:
    clients = {name: Client({name.lower(): []}) for name in "ABC"}
    plan = assign(TASKS, STATE, clients, Limits())
    assert sorted(map(len, plan.active.values())) == [2, 2, 2]
    assert not plan.needs_probing


def test_stateless_tasks_move_at_once() -> None:
    clients = {"A": Client({"a": TASKS}), "B": Client({"b": []})}
    plan = assign(TASKS, {}, clients, Limits())
    assert sorted(map(len, plan.active.values())) == [3, 3]


@pytest.mark.parametrize("stateful", [{}, {TASKS[1]: 90_000}], ids=["alone", "beside one with state"])
def test_stateless_tasks_stay_once_they_are_spread(stateful: dict[TaskId, int]) -> None:
    """Also where few tasks meet processes with different numbers of threads."""
    clients = {"A": Client({"a": []}), "B": Client({"b": [], "b2": []}), "C": Client({"c": TASKS[:1]})}
    plan = assign(TASKS[:2], stateful, clients, Limits())
    again = assign(TASKS[:2], stateful, _carried_out(plan, clients), Limits())
    assert again.active == plan.active


def test_who_has_most_state_gets_the_task() -> None:
    clients = {
        "A": Client({"a": []}, {TASKS[0]: 90_000}),
        "B": Client({"b": []}, {TASKS[0]: 40_000}),
    }
    assert assign(TASKS[:1], {TASKS[0]: 90_000}, clients, Limits()).active["b"] == TASKS[:1]
    both = {TASKS[0]: 40_000, TASKS[1]: 40_000}
    plan = assign(
        TASKS[:2],
        dict.fromkeys(both, 90_000),
        {"A": Client({"a": []}), "B": Client({"b": []}, both)},
        Limits(),
    )
    assert plan.active["b"] == TASKS[:2]
    assert plan.needs_probing


def test_a_task_with_little_state_moves_before_it_is_warm_elsewhere() -> None:
    clients = {"A": Client({"a": TASKS}, dict.fromkeys(TASKS, 0)), "B": Client({"b": []})}
    little = dict.fromkeys(TASKS, Limits().acceptable_recovery_lag)
    plan = assign(TASKS, little, clients, Limits())
    assert sorted(map(len, plan.active.values())) == [3, 3]
    assert not plan.needs_probing


def test_standbys_are_elsewhere() -> None:
    clients = {name: Client({name.lower(): []}) for name in "ABC"}
    plan = assign(TASKS, STATE, clients, Limits(standby_replicas=1))
    assert sorted(map(len, plan.standby.values())) == [2, 2, 2]
    assert sorted(task for tasks in plan.standby.values() for task in tasks) == TASKS


def test_what_lags_mean() -> None:
    assert lag_of(RUNNING, 100) == 0
    assert lag_of(UNKNOWN, 100) == 100
    assert lag_of(None, 100) == 100
    assert lag_of(70, 100) == 30
    assert lag_of(170, 100) == 100  # of a topic that was made anew


def test_standbys_are_in_other_places_than_what_they_stand_by() -> None:
    tasks = [TaskId(0, 0), TaskId(0, 1)]
    zones = {"A": "north", "B": "north", "C": "south", "D": "west"}
    clients = {name: Client({name: []}, {}, {"zone": zone, "cluster": "one"}) for name, zone in zones.items()}
    limits = Limits(standby_replicas=2, tags=("zone", "cluster"))
    plan = assign(tasks, dict.fromkeys(tasks, 90_000), clients, limits)
    for task in tasks:
        holders = [name for name in zones if task in plan.active[name] or task in plan.standby[name]]
        assert sorted(zones[name] for name in holders) == ["north", "south", "west"]
    # Where there are too few places, somebody stands by all the same.
    crowded = {name: Client({name: []}, {}, {"zone": "north"}) for name in "AB"}
    plan = assign(tasks, dict.fromkeys(tasks, 0), crowded, Limits(standby_replicas=1, tags=("zone",)))
    assert sum(map(len, plan.standby.values())) == 2
