"""A transactional producer's state: what it may do now, what it must tell the coordinator, and what ends it.

In the first protocol (KIP-98) each partition is added to the transaction before anything is sent to it, and
the epoch stays unless numbers broke. In the second (KIP-890, the feature `transaction.version` 2) brokers
add partitions themselves, and each end of a transaction brings another epoch.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from ottla.client.core.batches import NO_IDENTITY, Identity
from ottla.client.errors import ClientError, FencedError
from ottla.protocol.errors import ErrorCode

FEATURE: Final = "transaction.version"
FIRST_IMPLICIT: Final = 2
"""The level of the feature from which on the second protocol is spoken."""


class State(Enum):
    NEW = "not begun: it has no identity yet"
    READY = "outside of a transaction"
    OPEN = "in a transaction"
    FAILED = "in a transaction that failed and can only be aborted"
    COMMITTING = "committing a transaction"
    ABORTING = "aborting a transaction"
    FATAL = "finished by an error"


class Verdict(Enum):
    """What an error of the coordinator's means for the transaction."""

    RETRY = 0
    FIND_COORDINATOR = 1
    ABORT = 2
    FATAL = 3


class TransactionStateError(ClientError):
    """The call does not fit: nothing was begun, or it failed and has to be aborted first."""


class TransactionAbortedError(ClientError):
    """The record's transaction was aborted before it was sent."""


class Transactions:
    """One producer's, with its `transactional_id`."""

    def __init__(self, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self.identity = NO_IDENTITY
        self.state = State.NEW
        self.error: ClientError | None = None
        """What failed the transaction, or finished the producer."""
        self.number = 0
        """Of the transaction that was begun last"""
        self.is_implicit = False
        """The second protocol is spoken, in this transaction."""
        self._added: dict[tuple[str, int], None] = {}
        self._to_add: dict[tuple[str, int], None] = {}
        self._groups: dict[str, None] = {}
        self._has_begun_at_broker = False
        self._is_end_asked = False

    def initialized(self, identity: Identity) -> None:
        self.identity = identity
        self.state = State.READY
        self.error = None

    def begin(self, *, is_implicit: bool) -> None:
        self._require(State.READY, "begin a transaction")
        self.is_implicit = is_implicit
        self.state = State.OPEN
        self.number += 1
        self._forget()

    def check_open(self, doing: str, number: int | None = None) -> None:
        """TransactionStateError, or what finished the producer, where nothing may be sent now (in the
        transaction of that number).
        """
        if self.state is not State.OPEN:
            self._require(State.OPEN, doing)
        if number not in (None, self.number):
            raise TransactionStateError(f"cannot {doing}: the transaction ended while there was no room")

    def may_send(self, topic: str, partition: int) -> bool:
        """Whether the partition is in the transaction; if not, it is to be added (`to_add`)."""
        key = (topic, partition)
        if self.state not in (State.OPEN, State.COMMITTING):
            return False
        if self.is_implicit:
            self._has_begun_at_broker = True
            return True
        if key in self._added:
            return True
        self._to_add[key] = None
        return False

    def to_add(self) -> list[tuple[str, int]]:
        """Partitions that the coordinator is to be told of."""
        return list(self._to_add) if self.state in (State.OPEN, State.COMMITTING) else []

    def added(self, partitions: list[tuple[str, int]]) -> None:
        for key in partitions:
            self._to_add.pop(key, None)
            self._added[key] = None
        self._has_begun_at_broker = True

    def needs_group(self, group_id: str) -> bool:
        """Whether the group's offsets are still to be added to the transaction (first protocol)."""
        return not self.is_implicit and group_id not in self._groups

    def group_added(self, group_id: str) -> None:
        self._groups[group_id] = None
        self._has_begun_at_broker = True

    def offsets_sent(self) -> None:
        """With the second protocol the group's coordinator begins the transaction as well."""
        self._has_begun_at_broker = True

    def failed(self, error: ClientError) -> None:
        """The transaction can't be committed any more."""
        if isinstance(error, FencedError) and error.code is ErrorCode.producer_fenced:
            self.finish(error)
        elif self.state in (State.OPEN, State.COMMITTING):
            self.state = State.FAILED
            self.error = error

    def finish(self, error: ClientError) -> None:
        """The producer can't go on."""
        self.state = State.FATAL
        self.error = error

    def commit(self) -> None:
        """All is sent: no more until it is committed. Again after one whose outcome did not become known."""
        if self.state is not State.COMMITTING:
            self._require(State.OPEN, "commit")
            self.state = State.COMMITTING

    def not_committed(self) -> None:
        """What `commit` began was called off. As long as the coordinator was not asked it is open as before;
        then it can only be committed again, as it may be committed.
        """
        if self.state is State.COMMITTING and not self._is_end_asked:
            self.state = State.OPEN

    def end_asked(self) -> None:
        """The coordinator is being told how the transaction ends."""
        self._is_end_asked = True

    def abort(self) -> None:
        if self.state in (State.OPEN, State.FAILED):
            self.state = State.ABORTING
        elif self.state is not State.ABORTING:
            self._require(State.OPEN, "abort")

    def abandons(self) -> ClientError | None:
        """Why what was not sent yet will not be."""
        if self.state is State.ABORTING:
            return TransactionAbortedError("the transaction was aborted")
        return self.error if self.state in (State.FAILED, State.FATAL) else None

    @property
    def is_open(self) -> bool:
        """Whether it is for the producer to end a transaction."""
        return self.state in (State.OPEN, State.FAILED)

    @property
    def must_be_ended(self) -> bool:
        """Whether a broker knows of the transaction."""
        return self._has_begun_at_broker

    def ended(self, identity: Identity | None = None) -> None:
        """It is committed or aborted; with the second protocol the producer has another identity now."""
        if identity is not None and identity.producer_id >= 0:
            self.identity = identity
        self.state = State.READY
        self.error = None
        self._forget()

    def verdict(self, code: int) -> Verdict:
        """What an error from a coordinator means."""
        if code in _COORDINATOR_MOVED:
            return Verdict.FIND_COORDINATOR
        if code in _RETRY:
            return Verdict.RETRY
        if code in _ABORT and self.state in (State.OPEN, State.COMMITTING):
            return Verdict.ABORT
        return Verdict.FATAL

    def _require(self, state: State, doing: str) -> None:
        if self.state is state:
            return
        if self.error is not None and self.state is State.FATAL:
            raise self.error.again()
        if self.error is not None and self.state is State.FAILED:
            raise TransactionStateError(f"cannot {doing}: abort the transaction, which failed: {self.error}")
        raise TransactionStateError(f"cannot {doing}: the producer is {self.state.value}")

    def _forget(self) -> None:
        self._added.clear()
        self._to_add.clear()
        self._groups.clear()
        self._has_begun_at_broker = False
        self._is_end_asked = False


_COORDINATOR_MOVED: Final = (ErrorCode.coordinator_not_available, ErrorCode.not_coordinator)
_RETRY: Final = (
    ErrorCode.coordinator_load_in_progress,
    ErrorCode.concurrent_transactions,
    ErrorCode.unknown_topic_or_partition,
    ErrorCode.unknown_topic_id,
    ErrorCode.request_timed_out,
)
_ABORT: Final = (
    ErrorCode.topic_authorization_failed,
    ErrorCode.group_authorization_failed,
    ErrorCode.unknown_producer_id,
    ErrorCode.invalid_producer_id_mapping,
    ErrorCode.transaction_abortable,
    ErrorCode.operation_not_attempted,
    ErrorCode.fenced_instance_id,
    ErrorCode.unknown_member_id,
    ErrorCode.illegal_generation,
    ErrorCode.stale_member_epoch,
    ErrorCode.fenced_member_epoch,
    ErrorCode.offset_metadata_too_large,
    ErrorCode.invalid_commit_offset_size,
)
