"""Records without keys stay together for a batch, and move on."""

from __future__ import annotations

from ottla.client.core.sticky import StickyPartition


def test_it_stays_for_a_batchs_worth_and_moves_to_another() -> None:
    sticky = StickyPartition(100, lambda: 0.99)
    sticky.offer([3, 5, 8])
    assert [sticky.take(50) for _ in range(6)] == [8, 8, 5, 5, 8, 8]


def test_it_leaves_a_partition_without_a_leader() -> None:
    sticky = StickyPartition(100, lambda: 0.0)
    sticky.offer([3])
    assert sticky.take(10) == 3
    sticky.offer([4])
    assert sticky.take(10) == 4
    assert sticky.move() == 4, "where there is no other"
