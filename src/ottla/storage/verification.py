"""Which transactions of a partition are being asked about at their coordinators (KIP-890).

The first batch of a transaction is written only once the coordinator has said that the partition belongs to
it. Between question and answer the transaction may end, and another begin that does not have the partition.
So a question leaves a guard here before it is asked, a marker takes it away, and the batch is only taken
together with the guard that is still there.
"""

from __future__ import annotations

from typing import Final

__all__ = ["EXEMPT", "UNASKED", "Verification", "Verifications"]

_GUARDS_MAX: Final = 1_000
"""In one partition: anybody may send batches of producers that do not exist. The oldest one goes."""


class Verification:
    """The guard of a producer whose transaction is being asked about.

    `lowest_sequence` is the lowest sequence number that has come meanwhile: nothing above it is written
    first, as the batches below could never follow. `adds_partition` is True where the question adds the
    partition to the transaction (transaction version 2), False where it only asks.
    """

    __slots__ = ("adds_partition", "began_ms", "lowest_sequence", "producer_epoch")

    def __init__(
        self, producer_epoch: int, lowest_sequence: int, began_ms: int, *, adds_partition: bool
    ) -> None:
        self.producer_epoch = producer_epoch
        self.lowest_sequence = lowest_sequence
        self.began_ms = began_ms
        self.adds_partition = adds_partition


EXEMPT: Final = Verification(-1, -1, 0, adds_partition=False)
"""For a batch whose transaction is not asked about (`transaction.partition.verification.enable`)."""

UNASKED: Final = Verification(-1, -1, 0, adds_partition=False)
"""For a batch of a transaction that is open already."""


class Verifications:
    """The guards of one partition, by producer id."""

    __slots__ = ("_guards",)

    def __init__(self) -> None:
        self._guards: dict[int, Verification] = {}

    def __len__(self) -> int:
        return len(self._guards)

    def begin(
        self, producer_id: int, producer_epoch: int, sequence: int, now_ms: int, *, adds_partition: bool
    ) -> Verification:
        """Note that a batch with this sequence number waits for an answer; -1 is a coordinator's own."""
        guard = self._guards.get(producer_id)
        if guard is None:
            guard = Verification(producer_epoch, sequence, now_ms, adds_partition=adds_partition)
            self._guards[producer_id] = guard
            if len(self._guards) > _GUARDS_MAX:
                del self._guards[next(iter(self._guards))]
        elif producer_epoch > guard.producer_epoch:
            guard.producer_epoch, guard.lowest_sequence = producer_epoch, sequence
        elif producer_epoch == guard.producer_epoch:
            guard.lowest_sequence = min(guard.lowest_sequence, sequence)
        return guard

    def refused(self, producer_id: int, producer_epoch: int, guard: Verification) -> None:
        """The coordinator does not know the transaction, and asking again would change nothing.

        A zombie shares the guard of who has fenced it, and does not take it away.
        """
        if self._guards.get(producer_id) is guard and guard.producer_epoch == producer_epoch:
            del self._guards[producer_id]

    def get(self, producer_id: int) -> Verification | None:
        return self._guards.get(producer_id)

    def written(self, producer_id: int) -> None:
        """A batch of the transaction is in the log: from now on that says that it is known."""
        if self._guards:
            self._guards.pop(producer_id, None)

    def ended(self, producer_id: int, producer_epoch: int) -> None:
        """A marker of this epoch is in the log, and answers from before it mean nothing any more.

        In transaction version 2 a marker has the epoch of the next transaction, which may be asked about
        already.
        """
        guard = self._guards.get(producer_id)
        if guard is not None and not (guard.adds_partition and guard.producer_epoch == producer_epoch):
            del self._guards[producer_id]

    def remove_expired(self, now_ms: int, expiration_ms: int) -> None:
        """Forget the questions that led to nothing."""
        expired = [
            producer_id
            for producer_id, guard in self._guards.items()
            if now_ms - guard.began_ms >= expiration_ms
        ]
        for producer_id in expired:
            del self._guards[producer_id]

    def clear(self) -> None:
        self._guards.clear()
