"""Bugs that a broker may have, planted into the real one, and the seeds that find them.

python -m tests.simulation.planted --seeds 200      looks for seeds, from --start on
python -m tests.simulation.planted --cluster        those of clusters (`planted_cluster.py`)
"""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from tests.simulation import planted_cluster
from tests.simulation.exactly_once import exactly_once
from tests.simulation.planting import Planted
from tests.simulation.replicated import replicated

from ottla.coordination.groups.offsets import commit
from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import Producer
from ottla.coordination.transactions import initialize
from ottla.coordination.transactions.state import ShardState, Transaction
from ottla.coordinator import shard_owner
from ottla.metadata.topic_names import TRANSACTIONS_TOPIC
from ottla.records.batch import BatchHeader
from ottla.storage.log import Log
from ottla.storage.producer_state import ProducerState


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


def former_members_commit(patch: pytest.MonkeyPatch) -> None:
    """A worker that stood still goes on with what its group has given to others (KIP-447)."""
    patch.setattr(commit, "_validate_transactional", lambda *_how: None)


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


FOUND = [
    Planted(marker_before_the_log_is_committed, 1, ["aborted read", "unseen", "offset commit lost"]),
    Planted(last_stable_offset_one_too_far, 0, ["precommitted read", "aborted read"]),
    Planted(batches_of_zombies_are_taken, 7, ["zombie", "aborted read"]),
    Planted(offsets_are_committed_at_abort, 1, ["unfounded offset"]),
    Planted(former_members_commit, 18, ["doubled output"]),
    Planted(the_end_bumps_no_epoch, 0, ["lost write", "hanging transaction", "unseen"]),
    Planted(initialising_bumps_no_epoch, 0, ["zombie"]),
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--cluster", action="store_true", help="bugs of clusters")
    parser.add_argument("--only", help="the one of this name")
    options = parser.parse_args()
    for each in (*planted_cluster.FOUND, *planted_cluster.SOUGHT) if options.cluster else FOUND:
        if options.only not in (None, each.name):
            continue
        for seed in range(options.start, options.start + options.seeds):
            found = each.found(seed, replicated if options.cluster else exactly_once)
            if found:
                print(f"{each.name}: seed {seed}: {found[0]}", flush=True)
                break
        else:
            print(f"{each.name}: not found", flush=True)


if __name__ == "__main__":
    main()
