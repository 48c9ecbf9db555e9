"""The states of a transactional producer."""

from __future__ import annotations

import pytest

from ottla.client.core.batches import Identity
from ottla.client.core.transactions import State, Transactions, TransactionStateError, Verdict
from ottla.client.errors import FencedError, RequestTimeoutError, broker_error
from ottla.protocol.errors import ErrorCode

P = ("t", 0)


def ready() -> Transactions:
    made = Transactions("x")
    made.initialized(Identity(7, 0))
    return made


def begun(*, is_implicit: bool) -> Transactions:
    made = ready()
    made.begin(is_implicit=is_implicit)
    return made


def test_nothing_goes_before_its_time() -> None:
    new = Transactions("x")
    with pytest.raises(TransactionStateError, match="cannot begin a transaction: .* not begun"):
        new.begin(is_implicit=True)
    with pytest.raises(TransactionStateError, match="cannot send: .* outside of a transaction"):
        ready().check_open("send")
    with pytest.raises(TransactionStateError, match="cannot commit"):
        ready().commit()
    with pytest.raises(TransactionStateError, match="cannot abort"):
        ready().abort()
    with pytest.raises(TransactionStateError, match="cannot begin a transaction: .* in a transaction"):
        begun(is_implicit=True).begin(is_implicit=True)


def test_in_the_first_protocol_partitions_are_added_before_they_are_sent_to() -> None:
    made = begun(is_implicit=False)
    assert not made.must_be_ended
    assert not made.may_send(*P)
    assert made.to_add() == [P]
    made.added([P])
    assert made.may_send(*P)
    assert made.to_add() == []
    assert made.must_be_ended
    assert made.needs_group("g")
    made.group_added("g")
    assert not made.needs_group("g")
    made.commit()
    made.ended(Identity(-1, -1))
    assert (made.state, made.identity, made.must_be_ended) == (State.READY, (7, 0), False)
    made.begin(is_implicit=False)
    assert not made.may_send(*P)
    assert made.needs_group("g")


def test_in_the_second_protocol_brokers_add_them_and_the_end_brings_an_epoch() -> None:
    made = begun(is_implicit=True)
    assert not made.must_be_ended
    assert made.may_send(*P)
    assert made.must_be_ended
    assert not made.needs_group("g")
    made.commit()
    made.ended(Identity(7, 1))
    assert made.identity == (7, 1)


def test_a_failure_leaves_abort_alone() -> None:
    made = begun(is_implicit=True)
    error = broker_error(ErrorCode.message_too_large)
    made.failed(error)
    assert made.abandons() is error
    assert not made.may_send(*P)
    for doing in (lambda: made.check_open("send"), made.commit):
        with pytest.raises(
            TransactionStateError, match="abort the transaction, which failed: message_too_large"
        ):
            doing()
    made.abort()
    assert made.abandons() is not None
    made.ended()
    assert made.state is State.READY


def test_a_fenced_producer_is_finished() -> None:
    made = begun(is_implicit=True)
    made.failed(broker_error(ErrorCode.producer_fenced))
    for doing in (lambda: made.check_open("send"), made.commit, made.abort):
        with pytest.raises(FencedError):
            doing()
    assert not made.is_open


def test_an_end_whose_outcome_is_not_known_may_be_asked_for_again() -> None:
    made = begun(is_implicit=True)
    made.commit()
    made.commit()
    with pytest.raises(TransactionStateError, match="cannot abort: .* committing"):
        made.abort()
    made.ended()


def test_a_failure_while_what_is_left_is_delivered_can_be_aborted() -> None:
    made = begun(is_implicit=True)
    made.commit()
    made.failed(RequestTimeoutError("late"))
    made.abort()
    assert made.state is State.ABORTING


def test_what_errors_of_coordinators_mean() -> None:
    made = begun(is_implicit=True)
    assert made.verdict(ErrorCode.not_coordinator) is Verdict.FIND_COORDINATOR
    assert made.verdict(ErrorCode.concurrent_transactions) is Verdict.RETRY
    assert made.verdict(ErrorCode.transaction_abortable) is Verdict.ABORT
    assert made.verdict(ErrorCode.invalid_producer_epoch) is Verdict.FATAL
    assert made.verdict(ErrorCode.invalid_txn_state) is Verdict.FATAL
    made.abort()
    assert made.verdict(ErrorCode.transaction_abortable) is Verdict.FATAL, "there is nothing left to do"
