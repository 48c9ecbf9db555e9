"""What each request meets in each state, from whom: as a table.

The columns are the states in which a transactional id can be; the rows are requests. A cell is what is
answered, and behind it the state that it leads to, if that is another.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.coordinator_harness import image
from tests.transaction_harness import Transactions

from ottla.coordination.transactions.state import TRANSITIONS, TransactionState
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from ottla.protocol.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from ottla.protocol.messages.end_txn import EndTxnRequest
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest

SHORT = {
    "ok": ErrorCode.none,
    "busy": ErrorCode.concurrent_transactions,
    "fenced": ErrorCode.producer_fenced,
    "unmapped": ErrorCode.invalid_producer_id_mapping,
    "state": ErrorCode.invalid_txn_state,
    "abortable": ErrorCode.transaction_abortable,
}

# Who asks: `now` has the current epoch, `last` the one before it, which may have ended the last transaction,
# `next` one that nobody was given, `else` another producer id, `new` neither id nor epoch.
TABLE = """
                  | none         Empty           Ongoing               PrepareCommit PrepareAbort CompleteCommit  CompleteAbort
init new          | ok>Empty     ok>Empty        busy>PrepareAbort     busy          busy         ok>Empty        ok>Empty
init now          | ok>Empty     ok>Empty        busy>PrepareAbort     busy          busy         ok>Empty        ok>Empty
init last         | ok>Empty     fenced          busy>PrepareAbort     busy          busy         ok>Empty        ok>Empty
init next         | ok>Empty     fenced          busy>PrepareAbort     busy          busy         fenced          fenced
init else         | ok>Empty     fenced          fenced                busy          busy         fenced          fenced
add now           | unmapped     ok>Ongoing      ok                    busy          busy         ok>Ongoing      ok>Ongoing
add last          | unmapped     fenced          fenced                busy          busy         fenced          fenced
add next          | unmapped     fenced          fenced                busy          busy         fenced          fenced
add else          | unmapped     unmapped        unmapped              busy          busy         unmapped        unmapped
add-another now   | unmapped     ok>Ongoing      ok                    busy          busy         ok>Ongoing      ok>Ongoing
offsets now       | unmapped     ok>Ongoing      ok                    busy          busy         ok>Ongoing      ok>Ongoing
offsets last      | unmapped     fenced          fenced                busy          busy         fenced          fenced
offsets else      | unmapped     unmapped        unmapped              busy          busy         unmapped        unmapped
verify now        | unmapped     abortable       ok                    busy          busy         abortable       abortable
verify last       | unmapped     fenced          fenced                fenced        fenced       fenced          fenced
verify else       | unmapped     unmapped        unmapped              unmapped      unmapped     unmapped        unmapped
verify-another now| unmapped     abortable       abortable             busy          busy         abortable       abortable
commit5 now       | unmapped     state           ok>PrepareCommit      busy          busy         state           state
commit5 last      | unmapped     fenced          fenced                busy          busy         ok              state
commit5 next      | unmapped     fenced          fenced                busy          busy         fenced          fenced
commit5 else      | unmapped     unmapped        unmapped              busy          busy         unmapped        unmapped
abort5 now        | unmapped     ok>CompleteAbort ok>PrepareAbort      busy          busy         ok>CompleteAbort ok>CompleteAbort
abort5 last       | unmapped     fenced          fenced                busy          busy         state           ok
abort5 next       | unmapped     fenced          fenced                busy          busy         fenced          fenced
abort5 else       | unmapped     unmapped        unmapped              busy          busy         unmapped        unmapped
commit4 now       | unmapped     state           ok>PrepareCommit      busy          busy         ok              state
commit4 last      | unmapped     fenced          fenced                fenced        fenced       fenced          fenced
commit4 else      | unmapped     unmapped        unmapped              unmapped      unmapped     unmapped        unmapped
abort4 now        | unmapped     state           ok>PrepareAbort       busy          busy         state           ok
abort4 last       | unmapped     fenced          fenced                fenced        fenced       fenced          fenced
abort4 else       | unmapped     unmapped        unmapped              unmapped      unmapped     unmapped        unmapped
"""  # noqa: E501 -- a row is a row


def cells() -> list[Any]:
    head, *rows = TABLE.strip("\n").splitlines()
    states = head.partition("|")[2].split()
    found = []
    for row in rows:
        asked, _, answers = row.partition("|")
        request, who = asked.split()
        for state, cell in zip(states, answers.split(), strict=True):
            answer, _, becomes = cell.partition(">")
            found.append(
                pytest.param(
                    state, request, who, SHORT[answer], becomes or state, id=f"{request}-{who}-{state}"
                )
            )
    return found


def ask(coordinator: Transactions, class_: Any, version: int, **fields: Any) -> dict[str, Any]:
    return coordinator.replies[coordinator.send(class_, fields, version=version, client_id="p")]


def add(coordinator: Transactions, producer: dict[str, int], number: int = 0, **more: Any) -> dict[str, Any]:
    topics = [{"name": "t", "partitions": [number]}]
    asked = {"transactional_id": "x", **producer, "topics": topics, **more}
    return ask(coordinator, AddPartitionsToTxnRequest, 5, transactions=[asked])


def in_state(state: str) -> tuple[Transactions, tuple[int, int]]:
    """A coordinator whose `x` is in this state, and the producer's id and current epoch."""
    coordinator = Transactions(image(t=4), {})
    if state == "none":
        return coordinator, (1000, 0)
    for _ in range(2):
        ask(coordinator, InitProducerIdRequest, 5, transactional_id="x", transaction_timeout_ms=60_000)
    producer = {"producer_id": 1000, "producer_epoch": 1}
    if state != "Empty":
        add(coordinator, producer)
    if state not in {"Empty", "Ongoing"}:
        ask(coordinator, EndTxnRequest, 5, transactional_id="x", **producer, committed="Commit" in state)
    if state.startswith("Complete"):
        coordinator.written("x")
    transaction = coordinator.transaction()
    assert transaction is not None
    assert transaction.state.shown == state
    return coordinator, transaction.producer


@pytest.mark.parametrize(("state", "request_", "who", "answer", "becomes"), cells())
def test_cell(state: str, request_: str, who: str, answer: ErrorCode, becomes: str) -> None:
    coordinator, (producer_id, epoch) = in_state(state)
    producer = {
        "now": {"producer_id": producer_id, "producer_epoch": epoch},
        "last": {"producer_id": producer_id, "producer_epoch": max(epoch - 1, 0)},
        "next": {"producer_id": producer_id, "producer_epoch": epoch + 1},
        "else": {"producer_id": 77, "producer_epoch": epoch},
        "new": {},
    }[who]
    x = {"transactional_id": "x", **producer}
    match request_:
        case "init":
            reply = ask(coordinator, InitProducerIdRequest, 5, **x, transaction_timeout_ms=1)
        case "add" | "add-another":
            reply = add(coordinator, producer, 0 if request_ == "add" else 1)
        case "verify" | "verify-another":
            reply = add(coordinator, producer, 0 if request_ == "verify" else 1, verify_only=True)
        case "offsets":
            reply = ask(coordinator, AddOffsetsToTxnRequest, 4, **x, group_id="g")
        case _:
            committed, version = request_.startswith("commit"), int(request_[-1])
            reply = ask(coordinator, EndTxnRequest, version, **x, committed=committed)
    code = reply["error_code"]
    if code is ErrorCode.none and request_.startswith(("add", "verify")):
        (result,) = reply["results_by_transaction"][0]["topic_results"][0]["results_by_partition"]
        code = ErrorCode(result["partition_error_code"])
    assert code is answer
    transaction = coordinator.transaction()
    assert (transaction.state.shown if transaction else "none") == becomes


def test_all_states_are_in_the_table_of_transitions() -> None:
    assert set(TRANSITIONS) == set(TransactionState)
    reachable = {TransactionState.EMPTY} | {after for all_ in TRANSITIONS.values() for after in all_}
    assert reachable == set(TransactionState)
    shown = [state.shown for state in TransactionState]
    assert shown == [*TABLE.split("\n")[1].split("|")[1].split()[1:], "Dead", "PrepareEpochFence"]
