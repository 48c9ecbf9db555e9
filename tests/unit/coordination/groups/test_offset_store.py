"""The offsets of a shard against what its log says, read as a whole."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from ottla.coordination.groups.offsets.store import OffsetStore, StoredOffset


class Commit(NamedTuple):
    partition: int
    producer_id: int


class Tombstone(NamedTuple):
    partition: int


class Marker(NamedTuple):
    producer_id: int
    committed: bool


PARTITIONS, PRODUCERS = st.integers(0, 1), st.integers(1, 3)
LOGS = st.lists(
    st.builds(Commit, PARTITIONS, st.just(-1) | PRODUCERS)
    | st.builds(Tombstone, PARTITIONS)
    | st.builds(Marker, PRODUCERS, st.booleans()),
    max_size=40,
)


def stored(log: list[Commit | Tombstone | Marker]) -> OffsetStore:
    store = OffsetStore()
    for place, entry in enumerate(log):
        if isinstance(entry, Marker):
            store.end_transaction(entry.producer_id, committed=entry.committed)
        elif isinstance(entry, Tombstone):
            store.replay("g", ("t", entry.partition), None)
        else:
            offset = StoredOffset(place, -1, "", 0, -1, None, record_offset=place)
            store.replay("g", ("t", entry.partition), offset, entry.producer_id)
    return store


def said(log: list[Commit | Tombstone | Marker], partition: int) -> tuple[int | None, bool]:
    """The last offset that counts, and whether there is one that may come to count."""
    last, is_open = None, False
    for place, entry in enumerate(log):
        later = log[place + 1 :]
        if not isinstance(entry, Commit) or entry.partition != partition or Tombstone(partition) in later:
            continue
        ends = (each for each in later if isinstance(each, Marker) and each.producer_id == entry.producer_id)
        end = Marker(-1, committed=True) if entry.producer_id < 0 else next(ends, None)
        if end is None:
            is_open = True
        elif end.committed:
            last = place
    return last, is_open


@given(LOGS)
def test_the_last_of_what_counts_is_the_offset(log: list[Commit | Tombstone | Marker]) -> None:
    store = stored(log)
    for partition in (0, 1):
        found = store.get("g", "t", partition)
        is_open = store.has_open_transaction("g", "t", partition)
        assert (None if found is None else found.offset, is_open) == said(log, partition)
    told = {partition: said(log, partition) for partition in (0, 1)}
    assert store.has_open_transactions("g") == any(is_open for _, is_open in told.values())
    known = {("t", each) for each, (last, is_open) in told.items() if last is not None or is_open}
    assert set(store.partitions_of_group("g")) == known
    assert {partition for _, partition, _ in store} == known
