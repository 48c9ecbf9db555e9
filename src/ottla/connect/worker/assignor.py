"""Who runs which connectors and tasks. Pure; the group's leader asks.

Eager: all anew, in turn. Incremental cooperative (KIP-415): what runs goes on running; members give up what
is too much for them, and only when they have said that they did it is given to others; what a member that
left had waits for `scheduled.rebalance.max.delay.ms`, in case it comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final, NamedTuple, TypeVar

from ottla.connect.worker.ids import ConnectorTaskId, Work

T = TypeVar("T")

_BACKOFF: Final = 40
"""By which each further round that would take work away waits longer"""


class Shares(NamedTuple):
    """By member."""

    assigned: Mapping[str, Work]
    """What is new"""
    revoked: Mapping[str, Work]
    total: Mapping[str, Work]
    """What each has when all have done so"""
    delay_ms: int = 0


def assign_eagerly(
    members: Iterable[str], connectors: Iterable[str], tasks: Iterable[ConnectorTaskId]
) -> Shares:
    names = sorted(members)
    turns = cycle(names)
    shares: dict[str, tuple[list[str], list[ConnectorTaskId]]] = {each: ([], []) for each in names}
    for connector in sorted(connectors):
        shares[next(turns)][0].append(connector)
    for task in sorted(tasks):
        shares[next(turns)][1].append(task)
    assigned = {name: Work.of(*share) for name, share in shares.items()}
    return Shares(assigned, {}, assigned)


@dataclass(slots=True)
class _Load:
    """What a member is to have."""

    member: str
    connectors: list[str]
    tasks: list[ConnectorTaskId]

    @property
    def is_empty(self) -> bool:
        return not self.connectors and not self.tasks

    def give_up(self, work: Work) -> None:
        self.connectors = [each for each in self.connectors if each not in work.connectors]
        self.tasks = [each for each in self.tasks if each not in work.tasks]


@dataclass(slots=True)
class IncrementalAssignor:
    """What a leader remembers from round to round. `max_delay_ms` is `scheduled.rebalance.max.delay.ms`."""

    max_delay_ms: int
    scheduled_ms: int = 0
    """When what was lost is given to others; 0: nothing is scheduled"""
    delay_ms: int = 0
    _previous: Work = field(default_factory=Work)
    _revoked: Work = field(default_factory=Work)
    _generation: int = -1
    _members: frozenset[str] = frozenset()
    _candidates: dict[str, None] = field(default_factory=dict)
    """Members that had nothing while something was missing: perhaps those that lost it, back again"""
    _revoked_before: bool = False
    _revoking_rounds: int = 0

    def assign(
        self,
        configured: Work,
        members: Mapping[str, Work],
        *,
        completed_generation: int,
        generation: int,
        now_ms: int,
    ) -> Shares:
        """`members` with what each has now; generations as this member of the group knows them."""
        if self._generation != completed_generation:
            self._previous = Work()  # others have assigned meanwhile
        active = _all(members.values())
        if self._revoked.common(active):
            self._previous = active  # it was not given up: told again
        self._revoked = Work()
        deleted = self._previous.minus(configured)
        lost = self._previous.minus(active).minus(deleted)
        created = configured.minus(self._previous).minus(active)
        gone = {
            member: work.common(deleted).plus(work.common(_duplicates(members)))
            for member, work in members.items()
        }
        loads = [
            _Load(member, list(work.connectors), list(work.tasks)) for member, work in sorted(members.items())
        ]
        for load in loads:
            load.give_up(gone[load.member])
        back = self._handle_lost(lost, loads, now_ms)
        self._balance(configured, loads, gone, now_ms)
        new = created.plus(back)
        _spread(loads, new.connectors, lambda load: load.connectors)
        _spread(loads, new.tasks, lambda load: load.tasks)
        total = {load.member: Work.of(load.connectors, load.tasks) for load in loads}
        assigned = {member: total[member].minus(work.minus(deleted)) for member, work in members.items()}
        revoked_now = _all(gone.values())
        self._previous = _all(total.values()).minus(revoked_now).plus(lost)
        self._revoked = revoked_now
        self._generation = generation
        self._members = frozenset(members)
        return Shares(assigned, gone, total, self.delay_ms)

    def _handle_lost(self, lost: Work, loads: Sequence[_Load], now_ms: int) -> Work:
        """What of it is to be given to others now; some may be put into `loads` at once."""
        if not lost and not self._revoked_before:
            self._reset_delay()
            return Work()
        is_complete = self._members <= {load.member for load in loads}
        if (self.scheduled_ms <= 0 and is_complete) or self.max_delay_ms == 0:
            return lost
        if 0 < self.scheduled_ms <= now_ms:
            back = [load for load in loads if load.member in self._candidates]
            if back:
                for load, connector in zip(cycle(back), lost.connectors, strict=False):
                    load.connectors.append(connector)
                for load, task in zip(cycle(back), lost.tasks, strict=False):
                    load.tasks.append(task)
            self._reset_delay()
            self._revoked_before = False
            return Work() if back else lost
        self._candidates |= {load.member: None for load in loads if load.is_empty}
        if now_ms < self.scheduled_ms:
            self.delay_ms = min(self.scheduled_ms - now_ms, self.max_delay_ms)
        else:
            self.delay_ms = self.max_delay_ms
        self.scheduled_ms = now_ms + self.delay_ms
        return Work()

    def _reset_delay(self) -> None:
        self._candidates.clear()
        self.scheduled_ms = 0
        self.delay_ms = 0

    def _balance(self, configured: Work, loads: Sequence[_Load], gone: dict[str, Work], now_ms: int) -> None:
        """Take away what is too much, unless that was done in the round before: then after a while."""
        if self.delay_ms:
            self._revoked_before = False
            return
        excess = _excess(configured, loads)
        if not excess:
            self._revoked_before = False
            self._revoking_rounds = 0
            return
        if self._revoked_before:
            self._revoking_rounds += 1
            if self.max_delay_ms:
                self.delay_ms = min(_BACKOFF ** min(self._revoking_rounds, 8), self.max_delay_ms)
                self.scheduled_ms = now_ms + self.delay_ms
                return
        self._revoked_before = True
        for load in loads:
            if load.member in excess:
                load.give_up(excess[load.member])
                gone[load.member] = gone[load.member].plus(excess[load.member])


def _all(works: Iterable[Work]) -> Work:
    each = list(works)
    return Work.of(
        [connector for work in each for connector in work.connectors],
        [task for work in each for task in work.tasks],
    )


def _duplicates(members: Mapping[str, Work]) -> Work:
    """What more than one runs: all of them give it up, and one gets it in the next round."""
    connectors = Counter(each for work in members.values() for each in work.connectors)
    tasks = Counter(each for work in members.values() for each in work.tasks)
    return Work.of(
        [each for each, count in connectors.items() if count > 1],
        [each for each, count in tasks.items() if count > 1],
    )


def _excess(configured: Work, loads: Sequence[_Load]) -> dict[str, Work]:
    if all(load.is_empty for load in loads):
        return {}
    connectors = _above(len(configured.connectors), {load.member: load.connectors for load in loads})
    tasks = _above(len(configured.tasks), {load.member: load.tasks for load in loads})
    return {
        member: Work.of(connectors.get(member, ()), tasks.get(member, ()))
        for member in dict.fromkeys((*connectors, *tasks))
    }


def _above(total: int, held: Mapping[str, Sequence[T]]) -> dict[str, Sequence[T]]:
    """What members hold above an even share of `total`."""
    least, extras = divmod(total, len(held))
    found: dict[str, Sequence[T]] = {}
    for member, items in held.items():
        if len(items) <= least:
            continue
        most = least + 1 if extras else least
        extras -= 1 if extras else 0
        if len(items) > most:
            found[member] = items[: len(items) - most]
    return found


def _spread(loads: Sequence[_Load], items: Iterable[T], held: Callable[[_Load], list[T]]) -> None:
    """Each to whoever has least."""
    for item in items:
        held(min(loads, key=lambda load: (len(held(load)), load.member))).append(item)
