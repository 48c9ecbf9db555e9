"""Who runs what: nothing is anywhere twice, shares are even, and what runs stays where it is if it may."""

from __future__ import annotations

import random

from ottla.connect.worker.assignor import IncrementalAssignor, Shares, assign_eagerly
from ottla.connect.worker.ids import ConnectorTaskId, Work

DELAY_MS = 1_000


def work(connectors: int, tasks: int) -> Work:
    names = [f"c{number}" for number in range(connectors)]
    return Work.of(names, (ConnectorTaskId(name, number) for name in names for number in range(tasks)))


class World:
    """Members that do as they are told."""

    def __init__(self, delay_ms: int = DELAY_MS) -> None:
        self.assignor = IncrementalAssignor(delay_ms)
        self.members: dict[str, Work] = {}
        self.generation = 0
        self.now_ms = 1

    def round(self, configured: Work) -> Shares:
        self.generation += 1
        shares = self.assignor.assign(
            configured,
            self.members,
            completed_generation=self.generation - 1 if self.generation > 1 else -1,
            generation=self.generation,
            now_ms=self.now_ms,
        )
        for name in self.members:
            self.members[name] = self.members[name].minus(shares.revoked[name]).plus(shares.assigned[name])
        return shares

    def settle(self, configured: Work) -> int:
        """How many rounds it took."""
        for number in range(1, 30):
            shares = self.round(configured)
            self.check()
            if not any(shares.revoked.values()) and not shares.delay_ms:
                return number
            self.now_ms += shares.delay_ms
        raise AssertionError(self.members)

    def check(self) -> None:
        everything = [each for held in self.members.values() for each in (*held.connectors, *held.tasks)]
        assert len(everything) == len(set(everything)), self.members

    def sizes(self) -> list[tuple[int, int]]:
        return sorted((len(held.connectors), len(held.tasks)) for held in self.members.values())


def test_eager_takes_turns() -> None:
    shares = assign_eagerly(["b", "a"], ["y", "x"], [ConnectorTaskId("x", 1), ConnectorTaskId("x", 0)])
    assert shares.total["a"] == Work(("x",), (ConnectorTaskId("x", 0),))
    assert shares.total["b"] == Work(("y",), (ConnectorTaskId("x", 1),))


def test_first_member_gets_all_and_the_next_its_share() -> None:
    world = World()
    configured = work(2, 4)
    world.members["a"] = Work()
    world.settle(configured)
    assert world.members["a"] == configured
    world.members["b"] = Work()
    shares = world.round(configured)
    assert shares.assigned["b"] == Work()  # what a gives up is given in the next round
    assert len(shares.revoked["a"].tasks) == 4
    world.settle(configured)
    assert world.sizes() == [(1, 4), (1, 4)]


def test_lost_work_waits_for_its_member() -> None:
    world = World()
    configured = work(2, 4)
    world.members = {"a": Work(), "b": Work()}
    world.settle(configured)
    gone = world.members.pop("b")
    shares = world.round(configured)
    assert shares.delay_ms == DELAY_MS
    assert not shares.assigned["a"]
    world.now_ms += DELAY_MS // 2
    assert world.round(configured).delay_ms == DELAY_MS // 2
    world.members["b2"] = Work()  # it comes back, as another member
    world.round(configured)
    world.now_ms += DELAY_MS
    world.settle(configured)
    assert world.members["b2"] == gone


def test_lost_work_is_given_to_others_after_the_delay() -> None:
    world = World()
    configured = work(2, 4)
    world.members = {"a": Work(), "b": Work()}
    world.settle(configured)
    del world.members["b"]
    world.settle(configured)
    assert world.members["a"] == configured


def test_removed_connectors_are_revoked() -> None:
    world = World()
    world.members = {"a": Work(), "b": Work()}
    world.settle(work(2, 2))
    world.settle(work(1, 2))
    assert Work.of(
        (each for held in world.members.values() for each in held.connectors),
        (each for held in world.members.values() for each in held.tasks),
    ) == work(1, 2)


def test_what_runs_twice_is_given_up_by_both() -> None:
    world = World(0)
    configured = work(1, 1)
    world.members = {"a": configured, "b": configured}
    shares = world.round(configured)
    assert shares.revoked["a"] == shares.revoked["b"] == configured
    world.check()
    world.settle(configured)
    assert world.sizes() == [(0, 0), (1, 1)] or world.sizes() == [(0, 1), (1, 0)]


def test_any_history_ends_even_and_whole() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        world = World(chance.choice((0, DELAY_MS)))
        configured = work(chance.randint(0, 5), chance.randint(0, 4))
        for step in range(12):
            match chance.randrange(3):
                case 0:
                    world.members[f"m{step}"] = Work()
                case 1 if len(world.members) > 1:
                    del world.members[chance.choice(sorted(world.members))]
                case _:
                    configured = work(chance.randint(0, 5), chance.randint(0, 4))
            if not world.members:
                world.members["first"] = Work()
            world.round(configured)
            world.now_ms += chance.choice((0, DELAY_MS // 3, DELAY_MS))
        world.now_ms += 10 * DELAY_MS
        world.settle(configured)
        world.settle(configured)
        held = Work.of(
            (each for one in world.members.values() for each in one.connectors),
            (each for one in world.members.values() for each in one.tasks),
        )
        assert held == configured, seed
        for sizes in zip(*world.sizes(), strict=True):
            assert max(sizes) - min(sizes) <= 1, (seed, world.members)
