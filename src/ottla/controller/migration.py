"""Copies a single node's metadata into the store of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from ottla.metadata import model
from ottla.metadata.migration import begin_copy, copy_steps, end_copy, metadata_to_copy
from ottla.metadata.transaction import KeyValue
from ottla.store.interface import OutcomeUnknownError, Store, read_all, read_key

log = logging.getLogger(__name__)


class MigrationError(Exception):
    """The metadata cannot be copied there."""


async def copy_metadata(
    source: Iterable[KeyValue],
    target: Store,
    cluster_id: str,
    directory_id: str,
    give_up_source: Callable[[int], None],
) -> int:
    """Copy all of it; returns how many keys that are.

    `give_up_source` is called when all is there and not yet served: from then on the source must not be. It
    is told the epoch of the node's last registration as the cluster has it, 0 where there is none. What was
    broken off is gone on with by the next call. `directory_id` is of the node's folder with the metadata.

    Raises MigrationError for a store that is not empty, StoreError, and OutcomeUnknownError.
    """
    wanted = metadata_to_copy(source, cluster_id)
    begun_at = await _begin(target, cluster_id, directory_id)
    while True:
        entries = (await read_all(target)).entries
        steps = copy_steps(wanted, entries, begun_at)
        if not steps:
            break
        for step in steps:
            try:
                outcome = await target.transaction(step.transaction)
            except OutcomeUnknownError as error:
                log.warning("looking what has been copied: %s", error)
                break
            if not outcome.committed:
                raise MigrationError("somebody else writes to the store meanwhile")
    known = [entry.mod_revision for entry in entries if entry.key.startswith(model.KNOWN_BROKERS)]
    give_up_source(max(known, default=0))
    await _end(target, begun_at)
    return len(wanted)


async def _begin(target: Store, cluster_id: str, directory_id: str) -> int:
    """The revision of the mark that says that a copy is under way: this one, begun now or before."""
    while True:
        found = (await target.range("", limit=1)).entries
        _, mark = await read_key(target, model.MIGRATING)
        if mark is not None:
            owner = model.decode_migrating(mark.value)
            if owner != directory_id:
                raise MigrationError(
                    f"the metadata of another node (directory.id {owner}) is being copied there"
                )
            return mark.mod_revision
        if found:
            raise MigrationError("there is metadata already: name another cluster, or remove what is there")
        try:
            await target.transaction(begin_copy(cluster_id, directory_id))
        except OutcomeUnknownError as error:
            log.warning("looking whether the copy has begun: %s", error)


async def _end(target: Store, begun_at: int) -> None:
    while True:
        try:
            await target.transaction(end_copy(begun_at))
            return
        except OutcomeUnknownError as error:
            log.warning("looking whether the copy has ended: %s", error)
            _, mark = await read_key(target, model.MIGRATING)
            if mark is None or mark.mod_revision != begun_at:
                return
