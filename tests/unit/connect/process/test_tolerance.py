"""Retries and the error policy (KIP-298)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ottla.connect.errors import ConnectError, DataError, RetriableError
from ottla.connect.process.tolerance import Failure, Policy, Skipped, Stage, Tolerance


class World:
    def __init__(self, policy: Policy) -> None:
        self.now_ms = 0
        self.waits: list[int] = []
        self.failures: list[Failure] = []
        self.tolerance = Tolerance(
            policy, "c-0", lambda: self.now_ms, self.wait, lambda: 0.5, self.failures.append
        )

    def wait(self, timeout_ms: int) -> bool:
        self.waits.append(timeout_ms)
        self.now_ms += timeout_ms
        return True

    def run(self, operation: Callable[[], str]) -> str:
        return self.tolerance.execute(Stage.TRANSFORMATION, "T", "record", operation)


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def operation() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return operation


def test_no_error_is_tolerated_by_itself() -> None:
    world = World(Policy())
    with pytest.raises(ConnectError, match="Tolerance exceeded"):
        world.run(failing(DataError("wrong")))
    assert [each.stage for each in world.failures] == [Stage.TRANSFORMATION]


def test_tolerated_errors_leave_the_record_out() -> None:
    world = World(Policy(tolerates=True))
    with pytest.raises(Skipped):
        world.run(failing(DataError("wrong")))
    assert str(world.failures[0].error) == "wrong"
    assert world.failures[0].record == "record"


def test_retries_wait_longer_each_time_within_their_time() -> None:
    world = World(Policy(retry_timeout_ms=2_000, retry_delay_max_ms=500))
    assert world.run(failing(*[RetriableError("later")] * 3)) == "done"
    assert world.waits == [300, 250, 250]  # above the most it is spread
    with pytest.raises(ConnectError):
        world.run(failing(*[RetriableError("later")] * 100))
    assert sum(world.waits) <= 800 + 2_000
    assert world.failures[-1].attempts > 3


def test_without_retries_the_first_failure_is_the_last() -> None:
    world = World(Policy())
    with pytest.raises(ConnectError):
        world.run(failing(RetriableError("later")))
    assert world.waits == []
