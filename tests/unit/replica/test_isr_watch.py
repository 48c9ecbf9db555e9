"""Who lags is decided by time that passes, not by the time of day."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from tests.unit.storage.logs import batch, config, open_at

from ottla.config.broker import broker_config
from ottla.metadata.model import PartitionState
from ottla.replica.isr_watch import IsrWatch
from ottla.replica.partition import IsrProposal, Partition
from ottla.replica.partitions import validation_options
from ottla.replica.traffic import TopicTraffic
from ottla.storage.fs import OsFileSystem

HOUR_MS, LAG_MS = 3_600_000, 10_000


class Clocks:
    """Both as a test says."""

    def __init__(self) -> None:
        self.time_of_day_ms = 1_000 * HOUR_MS
        self.passed_ms = 5

    def now_ms(self) -> int:
        return self.time_of_day_ms

    def monotonic_ms(self) -> int:
        return self.passed_ms


class Changes:
    def __init__(self) -> None:
        self.proposed: list[IsrProposal] = []

    def propose(self, proposal: IsrProposal) -> None:
        self.proposed.append(proposal)


@pytest.mark.parametrize("set_by_ms", [-HOUR_MS, 0, HOUR_MS])
async def test_a_follower_lags_by_the_time_that_passes_whatever_the_clock_says(
    set_by_ms: int, tmp_path: Path
) -> None:
    clocks, changes = Clocks(), Changes()
    registered = SimpleNamespace(image=SimpleNamespace(brokers={}))
    settings = SimpleNamespace(value=SimpleNamespace(replica_lag_time_max_ms=LAG_MS))
    watch = IsrWatch(1, registered, changes, settings, clocks)
    log = open_at(OsFileSystem(64), config(), directory=str(tmp_path / "t-0"))
    options = validation_options(config(), broker_config())
    state = PartitionState(replicas=(1, 2), isr=(1, 2), leader=1)
    led = Partition("t", UUID(int=1), 0, log, state, options, lambda _log: None, watch, TopicTraffic())
    follower = led.follower(2, -1, is_fenced=True)
    led.fetched(follower, 0, 0, -1, watch.monotonic_ms(), None)
    led.append(batch(2), clocks.now_ms(), acks=1)
    clocks.time_of_day_ms += set_by_ms
    clocks.passed_ms += LAG_MS
    led.check_lag(watch.monotonic_ms())
    assert not changes.proposed
    clocks.passed_ms += 1
    led.check_lag(watch.monotonic_ms())
    assert [each.isr for each in changes.proposed] == [(1,)]
    watch.stop()
