"""What it takes to copy a single node's metadata into the store of a cluster.

While the copy goes on, `model.MIGRATING` is there, which no broker takes for metadata (`image`): so half a
copy is never served, and one that was broken off can be gone on with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ottla.metadata import model
from ottla.metadata.plan import Changes, Step
from ottla.metadata.transaction import Compare, Delete, KeyValue, Put, Transaction

_OF_A_PROCESS = (model.BROKERS, model.STOPPING, model.UNFENCED, model.OFFLINE_REPLICAS)
"""What is under these says who lives"""


def metadata_to_copy(source: Iterable[KeyValue], cluster_id: str) -> Mapping[str, bytes]:
    """What the cluster is to have of a single node's metadata: all but what says who lives."""
    copied = {
        entry.key: entry.value
        for entry in source
        if entry.key != model.CONTROLLER and not entry.key.startswith(_OF_A_PROCESS)
    }
    return {**copied, model.CLUSTER_ID: cluster_id.encode()}


def begin_copy(cluster_id: str, directory_id: str) -> Transaction:
    """Take a store that is empty. A broker that starts there meanwhile finds whose it is to be.

    `directory_id` is of the data folder with the metadata.
    """
    first = (
        Put(model.CLUSTER_ID, cluster_id.encode()),
        Put(model.MIGRATING, model.encode_migrating(directory_id)),
    )
    absent = (model.MIGRATING, model.CLUSTER_ID, model.FEATURES)
    return Transaction(tuple(Compare.absent(key) for key in absent), first)


def copy_steps(
    wanted: Mapping[str, bytes], present: Iterable[KeyValue], begun_at: int
) -> tuple[Step[str], ...]:
    """What is left to do until the store has what is wanted, and nothing else of an earlier attempt.

    `begun_at` is the revision of `model.MIGRATING`.
    """
    found = {entry.key: entry.value for entry in present if entry.key != model.MIGRATING}
    changes: Changes[str] = Changes(Compare.unchanged(model.MIGRATING, begun_at))
    for key, value in wanted.items():
        if found.get(key) != value:
            changes.add(key, (), (Put(key, value),))
    for key in found:
        if key not in wanted:
            changes.add(key, (), (Delete(key),))
    return changes.steps()


def end_copy(begun_at: int) -> Transaction:
    """From then on brokers may serve it."""
    return Transaction((Compare.unchanged(model.MIGRATING, begun_at),), (Delete(model.MIGRATING),))
