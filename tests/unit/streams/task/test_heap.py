"""A heap in the order of Java's PriorityQueue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ottla.streams.task.heap import Heap


@given(st.lists(st.integers(1, 3), max_size=7), st.integers(0, 9))
def test_rotating_is_putting_in_and_taking_out(ranks: list[int], times: int) -> None:
    smallest = (0, -1)
    heaps: list[Heap[tuple[int, int]]] = [Heap(lambda element: element[0]) for _ in range(2)]
    for heap in heaps:
        for number, rank in enumerate(ranks):
            heap.push((rank, number))

    for _ in range(times):
        heaps[0].push(smallest)
        assert heaps[0].pop() is smallest
    heaps[1].rotate(smallest, times)

    assert [heaps[0].pop() for _ in ranks] == [heaps[1].pop() for _ in ranks]
