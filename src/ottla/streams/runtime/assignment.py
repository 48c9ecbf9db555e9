"""Who gets which task: state stays, work is balanced, state that moves is warmed up first (KIP-441).

Pure. Processes own state, their members (one for each stream thread) share what the process gets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ottla.streams.runtime.protocol import RUNNING, UNKNOWN, TaskId


@dataclass(frozen=True)
class Client:
    """A process: its members by id, each with the tasks that it runs; how old the state is that it has."""

    members: Mapping[str, Sequence[TaskId]]
    lags: Mapping[TaskId, int] = field(default_factory=dict)
    """How many changelog records the state there lacks, where there is any; 0 where the task runs."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Where it is: its zone, its rack, by names of the application's choice (KIP-708)."""

    @property
    def running(self) -> dict[TaskId, None]:
        return {task: None for tasks in self.members.values() for task in tasks}


@dataclass(frozen=True)
class Limits:
    acceptable_recovery_lag: int = 10_000
    max_warmup_replicas: int = 2
    standby_replicas: int = 0
    tags: Sequence[str] = ()
    """The tags that a task's standbys shall differ in, from where it runs and from one another."""


@dataclass(frozen=True)
class Plan:
    """By member id. `needs_probing`: some task shall move when the state elsewhere is warm."""

    active: Mapping[str, Sequence[TaskId]]
    standby: Mapping[str, Sequence[TaskId]]
    needs_probing: bool


def lag_of(offset_sum: int | None, end_sum: int) -> int:
    """What a member's word of its state means, where the changelogs have `end_sum` records in all."""
    if offset_sum == RUNNING:
        return 0
    if offset_sum is None or offset_sum == UNKNOWN or offset_sum > end_sum:
        return end_sum
    return end_sum - offset_sum


def assign(
    tasks: Iterable[TaskId], stateful: Mapping[TaskId, int], clients: Mapping[str, Client], limits: Limits
) -> Plan:
    """`stateful`: how many records the changelogs have of each task that has state. `clients` by process id,
    in an order that all rounds share. Every task is assigned once."""
    work = _Work(sorted(tasks), dict(sorted(stateful.items())), dict(sorted(clients.items())), limits)
    work.place_stateful()
    work.place_stateless()
    work.place_standbys()
    return work.plan()


class _Work:
    def __init__(
        self,
        tasks: Sequence[TaskId],
        stateful: Mapping[TaskId, int],
        clients: Mapping[str, Client],
        limits: Limits,
    ) -> None:
        self._tasks = tasks
        self._stateful = stateful
        self._clients = clients
        self._limits = limits
        self._active: dict[str, list[TaskId]] = {name: [] for name in clients}
        self._standby: dict[str, list[TaskId]] = {name: [] for name in clients}
        self._needs_probing = False

    def place_stateful(self) -> None:
        wanted = self._balanced(self._stateful)
        warmups = self._limits.max_warmup_replicas
        for task, target in wanted.items():
            warmest = self._warmest(task)
            if target in warmest:
                self._active[target].append(task)
                continue
            # State is warmer elsewhere: the task stays there until it is warm here too.
            self._active[self._best(warmest, task)].append(task)
            self._needs_probing = True
            if warmups > 0:
                warmups -= 1
                self._standby[target].append(task)

    def place_stateless(self) -> None:
        stateless = dict.fromkeys(task for task in self._tasks if task not in self._stateful)
        running = {task: name for name, client in self._clients.items() for task in client.running}
        quota = self._quotas(stateless)
        left = []
        for task in stateless:
            name = running.get(task)
            if name is not None and len(self._active[name]) < quota[name]:
                self._active[name].append(task)
            else:
                left.append(task)
        for task in left:
            free = [name for name in self._clients if len(self._active[name]) < quota[name]]
            self._active[min(free, key=self._load)].append(task)

    def place_standbys(self) -> None:
        for _ in range(self._limits.standby_replicas):
            for task in self._stateful:
                free = [
                    name
                    for name in self._clients
                    if task not in self._active[name] and task not in self._standby[name]
                ]
                if free:
                    free = self._farthest(free, task)
                    known = [name for name in free if task in self._clients[name].lags]
                    # Where state is already it stays, unless that one has far more than others.
                    least = min(map(self._total_load, free))
                    kept = [name for name in known if self._total_load(name) <= least + 1]
                    self._standby[min(kept or free, key=self._total_load)].append(task)

    def _farthest(self, names: Sequence[str], task: TaskId) -> list[str]:
        """Those that share fewest tags with who has the task already."""
        used = {
            (tag, client.tags.get(tag))
            for name, client in self._clients.items()
            if task in self._active[name] or task in self._standby[name]
            for tag in self._limits.tags
        }
        shared = {
            name: sum((tag, self._clients[name].tags.get(tag)) in used for tag in self._limits.tags)
            for name in names
        }
        least = min(shared.values())
        return [name for name in names if shared[name] == least]

    def plan(self) -> Plan:
        active: dict[str, Sequence[TaskId]] = {}
        standby: dict[str, Sequence[TaskId]] = {}
        for name, client in self._clients.items():
            shared = _share(self._active[name], client.members)
            active |= shared
            # A member follows a task's state beside fewest others.
            others = {member: len(tasks) for member, tasks in shared.items()}
            followed: dict[str, list[TaskId]] = {member: [] for member in client.members}
            for task in sorted(self._standby[name]):
                member = min(others, key=lambda each: (others[each], each))
                others[member] += 1
                followed[member].append(task)
            standby |= followed
        return Plan(active, standby, self._needs_probing)

    def _balanced(self, tasks: Mapping[TaskId, int]) -> dict[TaskId, str]:
        """Where each task is to be in the end: where it runs, or has most state, as far as that is fair."""
        quota = self._quotas(tasks)
        count = dict.fromkeys(self._clients, 0)
        result: dict[TaskId, str] = {}
        for name, client in self._clients.items():
            for task in client.running:
                if task in tasks and task not in result and count[name] < quota[name]:
                    result[task] = name
                    count[name] += 1
        for task in tasks:
            if task in result:
                continue
            free = [name for name in self._clients if count[name] < quota[name]]
            lags = {name: self._clients[name].lags.get(task) for name in free}
            known = {name: lag for name, lag in lags.items() if lag is not None}
            if known:
                name = min(known, key=lambda each: (known[each], self._relative(each, count), each))
            else:
                name = min(free, key=lambda each: (self._relative(each, count), each))
            result[task] = name
            count[name] += 1
        return {task: result[task] for task in tasks}

    def _quotas(self, tasks: Collection[TaskId]) -> dict[str, int]:
        """How many tasks each process may have with these and what it was given before: as is its share of
        the threads, rounded.
        """
        total = len(tasks) + sum(map(len, self._active.values()))
        threads = {name: len(client.members) for name, client in self._clients.items()}
        all_threads = sum(threads.values())
        quota = {name: total * count // all_threads for name, count in threads.items()}
        rest = total - sum(quota.values())
        for name in sorted(self._clients, key=lambda name: self._claim(name, tasks, quota[name]))[:rest]:
            quota[name] += 1
        return quota

    def _claim(self, name: str, tasks: Collection[TaskId], quota: int) -> tuple[bool, int, int, int, str]:
        """Who was given more than its quota comes first, then who runs most beyond it, then who has most of
        the tasks' state.
        """
        client = self._clients[name]
        given = len(self._active[name])
        running = sum(task in tasks for task in client.running)
        lags = [lag for task, lag in client.lags.items() if task in tasks]
        return given <= quota, quota - given - running, -len(lags), sum(lags), name

    def _relative(self, name: str, count: Mapping[str, int]) -> float:
        return count[name] / len(self._clients[name].members)

    def _load(self, name: str) -> tuple[float, str]:
        return len(self._active[name]) / len(self._clients[name].members), name

    def _total_load(self, name: str) -> float:
        return (len(self._active[name]) + len(self._standby[name])) / len(self._clients[name].members)

    def _warmest(self, task: TaskId) -> list[str]:
        """Who has all of the state but what is soon read (where there is little: everybody), else who lacks
        least.
        """
        lags = {name: self._lag(name, task) for name in self._clients}
        limit = max(self._limits.acceptable_recovery_lag, min(lags.values()))
        return [name for name, lag in lags.items() if lag <= limit]

    def _lag(self, name: str, task: TaskId) -> int:
        return self._clients[name].lags.get(task, self._stateful[task])

    def _best(self, names: Sequence[str], task: TaskId) -> str:
        """Who runs it, else who lacks least."""
        running = [name for name in names if task in self._clients[name].running]
        return (running or sorted(names, key=lambda name: (self._lag(name, task), name)))[0]


def _share(tasks: Sequence[TaskId], members: Mapping[str, Sequence[TaskId]]) -> dict[str, list[TaskId]]:
    """A process' tasks among its members: where they run, as far as that is fair."""
    names = sorted(members, key=lambda name: (-len(members[name]), name))
    quota = {name: len(tasks) // len(names) for name in names}
    for name in names[: len(tasks) % len(names)]:
        quota[name] += 1
    shared: dict[str, list[TaskId]] = {name: [] for name in names}
    left = []
    for task in sorted(tasks):
        owner = next((name for name in names if task in members[name]), None)
        if owner is not None and len(shared[owner]) < quota[owner]:
            shared[owner].append(task)
        else:
            left.append(task)
    for task in left:
        name = min(names, key=lambda each: (len(shared[each]) - quota[each], each))
        shared[name].append(task)
    return {name: sorted(shared[name]) for name in sorted(shared)}
