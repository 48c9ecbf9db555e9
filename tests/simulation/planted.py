"""Bugs that a broker may have, planted into the real one, and the seeds that find them.

python -m tests.simulation.planted --seeds 200      looks for seeds, from --start on
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
from tests.simulation.exactly_once import exactly_once
from tests.simulation.world import Scenario, simulate

from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import Producer
from ottla.coordination.transactions import initialize
from ottla.coordination.transactions.state import ShardState, Transaction
from ottla.coordinator import shard_owner
from ottla.coordinator.transactions import TRANSACTIONS_TOPIC
from ottla.records.batch import BatchHeader
from ottla.storage.log import Log
from ottla.storage.producer_state import ProducerState

Plant = Callable[[pytest.MonkeyPatch], None]


def marker_before_the_log_is_committed(patch: pytest.MonkeyPatch) -> None:
    """A coordinator that does not wait for the disk to have what it decides: markers are written before."""
    sync = shard_owner._PartitionLog._sync

    def wait_for_nothing(log: shard_owner._PartitionLog, base_offset: int) -> int:
        is_of_transactions = log._partition.topic == TRANSACTIONS_TOPIC
        return base_offset if is_of_transactions else sync(log, base_offset)

    patch.setattr(shard_owner._PartitionLog, "_sync", wait_for_nothing)


def what_a_killed_broker_left_counts_as_committed(patch: pytest.MonkeyPatch) -> None:
    """Coordinators that answer from what they find, which the disk may not have yet."""
    patch.setattr(shard_owner._PartitionLog, "sync_loaded", lambda _log: None)


def last_stable_offset_one_too_far(patch: pytest.MonkeyPatch) -> None:
    """The first record of an open transaction is shown to readers of committed ones."""
    right = Log.last_stable_offset
    assert isinstance(right, property)

    def last_stable_offset(log: Log) -> int:
        offset: int = right.__get__(log)
        return min(offset + 1, log.high_watermark)

    patch.setattr(Log, "last_stable_offset", property(last_stable_offset))


def batches_of_zombies_are_taken(patch: pytest.MonkeyPatch) -> None:
    """A log that does not look at epochs while a transaction of the producer is open."""
    has_ongoing_transaction, check = ProducerState.has_ongoing_transaction, ProducerState.check

    def has_ongoing(state: ProducerState, producer_id: int, producer_epoch: int) -> bool:
        entry = state._producers.get(producer_id)
        if entry is not None and producer_epoch < entry.producer_epoch:
            return entry.current_txn_first_offset is not None
        return has_ongoing_transaction(state, producer_id, producer_epoch)

    def check_nothing(state: ProducerState, header: BatchHeader, next_offset: int, **how: Any) -> Any:
        entry = state._producers.get(header.producer_id)
        if entry is not None and header.producer_epoch < entry.producer_epoch:
            return None
        return check(state, header, next_offset, **how)

    patch.setattr(ProducerState, "has_ongoing_transaction", has_ongoing)
    patch.setattr(ProducerState, "check", check_nothing)


def offsets_are_committed_at_abort(patch: pytest.MonkeyPatch) -> None:
    """A group coordinator for which every marker is a commit."""
    replay = GroupShard.replay_transaction_end

    def replay_commit(shard: GroupShard, producer_id: int, *, committed: bool) -> None:
        replay(shard, producer_id, committed=True)

    patch.setattr(GroupShard, "replay_transaction_end", replay_commit)


def the_end_bumps_no_epoch(patch: pytest.MonkeyPatch) -> None:
    """What was on its way when a producer gave up may come into its next transaction."""
    prepared = Transaction.prepared

    def keep_epoch(transaction: Transaction, *how: Any) -> Transaction:
        return prepared(transaction, *how)._replace(producer_epoch=transaction.producer_epoch)

    patch.setattr(Transaction, "prepared", keep_epoch)


def initialising_bumps_no_epoch(patch: pytest.MonkeyPatch) -> None:
    """Who takes a transactional id does not fence who had it before."""
    next_producer = initialize._next_producer

    def same_producer(
        state: ShardState, transaction: Transaction, expected: Producer | None
    ) -> tuple[Producer, int]:
        _, last_epoch = next_producer(state, transaction, expected)
        return Producer(transaction.producer_id, max(transaction.producer_epoch, 0)), last_epoch

    patch.setattr(initialize, "_next_producer", same_producer)


FOUND: list[tuple[Plant, int, list[str]]] = [
    (marker_before_the_log_is_committed, 2, ["aborted read", "unseen", "offset commit lost"]),
    (last_stable_offset_one_too_far, 0, ["precommitted read", "aborted read"]),
    (batches_of_zombies_are_taken, 16, ["zombie", "aborted read"]),
    (offsets_are_committed_at_abort, 0, ["unfounded offset"]),
    (the_end_bumps_no_epoch, 0, ["lost write", "hanging transaction", "unseen"]),
    (initialising_bumps_no_epoch, 1, ["zombie"]),
]
"""Each with a seed, and what is found in it: one of these anomalies."""


def violations_with(plant: Plant, seed: int, scenario: Scenario = exactly_once) -> list[str]:
    """What a seed finds in the planted broker."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        return simulate(seed, scenario).violations


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--start", type=int, default=0)
    options = parser.parse_args()
    for plant, _, names in FOUND:
        for seed in range(options.start, options.start + options.seeds):
            found = [each for each in violations_with(plant, seed) if each.startswith(tuple(names))]
            if found:
                print(f"{plant.__name__}: seed {seed}: {found[0]}")
                break
        else:
            print(f"{plant.__name__}: not found")


if __name__ == "__main__":
    main()
