"""Makes this broker known to its cluster, and what it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ottla.metadata import model
from ottla.metadata.model import BrokerRegistration
from ottla.metadata.transaction import NO_LEASE, Compare, Delete, KeyValue, Put, Transaction, Write
from ottla.store.interface import OutcomeUnknownError, Store, read_key

NEVER = -1
"""For the epoch of a broker that has none, or that is not known to have kept what it had in one."""


class NodeIdInUseError(Exception):
    """Another process is registered under this broker's id, and may live."""


async def register(
    store: Store,
    registration: BrokerRegistration,
    last_epoch: int = NEVER,
    lease_id: int = NO_LEASE,
    *,
    may_replace: bool = True,
) -> int:
    """Register under the lease; returns the broker's epoch. Whether it is clean is found out here.

    `last_epoch` is the one in which the logs were what they are now: that of a clean stop, or of a
    registration that this process had. `may_replace` lets it take the place of a process that had the same
    data folder: it is gone, as this one has the folder's lock.

    Raises NodeIdInUseError, LeaseNotFoundError and StoreError.
    """
    node_id = registration.node_id
    while True:
        _, known = await read_key(store, model.known_broker_key(node_id))
        _, present = await read_key(store, model.broker_key(node_id))
        if present is not None:
            held = model.decode_broker(node_id, present.value, present.mod_revision)
            if held.incarnation == registration.incarnation and present.lease_id == lease_id:
                return present.mod_revision  # by an attempt whose outcome was not known
            _check_is_free(present, held, registration, may_replace=may_replace)
        is_clean = known is not None and await _is_clean(store, node_id, known, last_epoch)
        value = model.encode_broker(dataclasses.replace(registration, is_clean=is_clean))
        compares = [
            Compare.unchanged(model.known_broker_key(node_id), known.mod_revision if known else 0),
            Compare.unchanged(model.broker_key(node_id), present.mod_revision if present else 0),
        ]
        writes: list[Write] = [
            Put(model.broker_key(node_id), value, lease_id),
            Put(model.known_broker_key(node_id), value),
            Delete(model.stopping_key(node_id)),
        ]
        _, controller = await read_key(store, model.CONTROLLER)
        if controller is not None and model.decode_controller(controller.value, 0).node_id == node_id:
            # What this broker was in its last epoch; no need to wait for that lease's end.
            compares.append(Compare.unchanged(model.CONTROLLER, controller.mod_revision))
            writes.append(Delete(model.CONTROLLER))
        try:
            outcome = await store.transaction(Transaction(tuple(compares), tuple(writes)))
        except OutcomeUnknownError:
            continue
        if outcome.committed:
            return outcome.revision


def _check_is_free(
    present: KeyValue, held: BrokerRegistration, registration: BrokerRegistration, *, may_replace: bool
) -> None:
    if held.incarnation == registration.incarnation or present.lease_id == NO_LEASE:
        return
    if may_replace and held.directory_id and held.directory_id == registration.directory_id:
        return
    endpoints = ", ".join(f"{each.host}:{each.port}" for each in held.listeners.values())
    raise NodeIdInUseError(f"a broker with node.id {held.node_id} is registered already, at {endpoints}")


async def _is_clean(store: Store, node_id: int, known: KeyValue, last_epoch: int) -> bool:
    """Whether the logs have what they had in the last epoch that the cluster has taken account of."""
    if known.mod_revision != last_epoch:
        return False
    before = model.decode_broker(node_id, known.value, known.mod_revision)
    if before.is_clean or not before.is_fenced:
        return True
    # It lost something before that epoch. That was dealt with before it was unfenced, if it ever was.
    _, unfenced = await read_key(store, model.unfenced_key(node_id))
    return unfenced is not None and model.decode_unfenced(unfenced.value) == before.epoch


async def agree_on_cluster_id(store: Store, proposed: str) -> str:
    """The id of the cluster whose store this is: the first one that was proposed.

    Raises StoreError and OutcomeUnknownError; then it may be called again.
    """
    propose = Transaction((Compare.absent(model.CLUSTER_ID),), (Put(model.CLUSTER_ID, proposed.encode()),))
    while True:
        _, found = await read_key(store, model.CLUSTER_ID)
        if found is not None:
            return found.value.decode()
        await store.transaction(propose)


async def note_log_dirs(store: Store, node_id: int, directory_ids: Sequence[str]) -> None:
    """Write down in which data folders the broker's replicas may lie.

    Raises StoreError and OutcomeUnknownError; then it may be called again.
    """
    put = Put(model.log_dirs_key(node_id), model.encode_log_dirs(directory_ids))
    await store.transaction(Transaction(writes=(put,)))
