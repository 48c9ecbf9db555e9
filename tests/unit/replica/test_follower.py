"""A follower's log: what its leader gives, and what is left of it when another leads."""

from __future__ import annotations

from uuid import UUID

import pytest
from tests.unit.storage.logs import batch, offsets, open_at, small_segments
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.metadata.model import PartitionState
from ottla.protocol.errors import KafkaError
from ottla.replica.follower import Follower
from ottla.replica.traffic import TopicTraffic
from ottla.replication.truncation import EpochEnd

NOW_MS = 2_000_000


class Waiting:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    def appended(self, size: int) -> None:
        self.sizes.append(size)

    def touched(self) -> None:
        self.sizes.append(-1)


@pytest.fixture
def follower() -> Follower:
    state = PartitionState(replicas=(1, 2), isr=(1, 2), leader=1, leader_epoch=5)
    return Follower("t", UUID(int=1), 0, open_at(SimulatedDisk(), small_segments()), state, TopicTraffic())


def given(follower: Follower, *at: tuple[int, int], high_watermark: int = 0, log_start: int = 0) -> None:
    """One record at each of these offsets and epochs."""
    records = b"".join(batch(base_offset=offset, leader_epoch=epoch) for offset, epoch in at)
    follower.append(records, high_watermark, log_start, NOW_MS)


def test_it_takes_what_its_leader_has_and_says_of_it(follower: Follower) -> None:
    waiting = Waiting()
    follower.add_waiter(waiting)
    assert follower.last_epoch == -1
    given(follower, (0, 3), (1, 3), (2, 5), high_watermark=2)
    assert (follower.log.log_end_offset, follower.high_watermark, follower.last_epoch) == (3, 2, 5)
    given(follower, high_watermark=9)
    assert follower.high_watermark == 3, "no further than its log"
    given(follower, high_watermark=1)
    assert follower.high_watermark == 3, "what was committed stays so"
    given(follower, high_watermark=3, log_start=2)
    assert follower.log.log_start_offset == 2
    assert [size for size in waiting.sizes if size] == [3, 1, -1]


def cut(follower: Follower, diverging: EpochEnd) -> bool:
    return follower.truncate(follower.end_in_common(diverging), NOW_MS)


def test_a_batch_of_a_later_leader_is_not_taken(follower: Follower) -> None:
    given(follower, (0, 5), (1, 6))
    assert offsets(follower.log) == [0]


def test_what_is_cut_is_what_differs_and_not_what_it_does_not_know_to_be_committed(
    follower: Follower,
) -> None:
    """At the high watermark records would go that all were told to be safe."""
    given(follower, (0, 3), (1, 3), (2, 3), (3, 4), high_watermark=1)
    assert cut(follower, EpochEnd(3, 3))
    assert offsets(follower.log) == [0, 1, 2]
    assert (follower.last_epoch, follower.high_watermark) == (3, 1)
    assert not cut(follower, EpochEnd(3, 3))


def test_what_was_written_in_an_epoch_that_the_leader_has_not_goes_first(follower: Follower) -> None:
    given(follower, (0, 1), (1, 3), (2, 4))
    assert cut(follower, EpochEnd(2, 8))
    assert offsets(follower.log) == [0]


def test_below_the_high_watermark_it_is_cut_after_an_unclean_election(follower: Follower) -> None:
    given(follower, (0, 3), (1, 3), (2, 3), high_watermark=3)
    cut(follower, EpochEnd(3, 1))
    assert (offsets(follower.log), follower.high_watermark) == ([0], 1)


def test_a_leader_whose_log_begins_in_a_batch_gives_it_whole(follower: Follower) -> None:
    follower.restart_at(2, NOW_MS)
    follower.append(batch(4, base_offset=0, leader_epoch=5), 4, 2, NOW_MS)
    assert (follower.log.log_start_offset, follower.log.log_end_offset) == (2, 4)
    assert offsets(follower.log) == [2, 3]


def test_what_does_not_fit_behind_its_end_is_refused(follower: Follower) -> None:
    given(follower, (0, 5), (1, 5))
    with pytest.raises(KafkaError, match="corrupt_message"):
        given(follower, (1, 5))
    damaged = bytearray(batch(base_offset=2, leader_epoch=5))
    damaged[-1] ^= 1
    with pytest.raises(KafkaError, match="checksum"):
        follower.append(bytes(damaged), 0, 0, NOW_MS)
