"""Who waits for the end of a transaction: its markers are being written.

A producer goes on at once when its transaction's end is decided, so that what is asked for its next one often
comes while the last one is ending. That is over in a moment.
"""

from __future__ import annotations

from typing import Final

from ottla.coordination.runtime import CancelTimer, Effects, RequestInfo, SetTimer
from ottla.coordination.transactions.state import ShardState, Waiting
from ottla.protocol.errors import ErrorCode

WAITING_TIMER: Final = "waiting"
"""Kind of the timers after which nobody waits any longer; a transactional id follows."""


def await_end(
    state: ShardState, transactional_id: str, info: RequestInfo[ErrorCode], deadline_ms: int
) -> Effects:
    """Answer when no transaction is being ended, at the latest at the deadline: who waits looks anyway."""
    transaction = state.transactions.get(transactional_id)
    if transaction is None or not transaction.is_prepared:
        return Effects.reply_with(info, ErrorCode.none)
    waiting = state.waiting.setdefault(transactional_id, [])
    waiting.append(Waiting(info, deadline_ms))
    first_ms = min(each.deadline_ms for each in waiting)
    return Effects(timers=[SetTimer((WAITING_TIMER, transactional_id), first_ms)])


def wake(state: ShardState, transactional_id: str) -> Effects:
    """The transaction is complete."""
    waiting = state.waiting.pop(transactional_id, [])
    effects = Effects()
    for each in waiting:
        effects.reply(each.info, ErrorCode.none)
    if waiting:
        effects.timers.append(CancelTimer((WAITING_TIMER, transactional_id)))
    return effects


def wake_late(state: ShardState, transactional_id: str, now_ms: int) -> Effects:
    """Let those go whose deadline has passed."""
    effects = Effects()
    later = []
    for each in state.waiting.pop(transactional_id, []):
        if each.deadline_ms <= now_ms:
            effects.reply(each.info, ErrorCode.none)
        else:
            later.append(each)
    if later:
        state.waiting[transactional_id] = later
        first_ms = min(each.deadline_ms for each in later)
        effects.timers.append(SetTimer((WAITING_TIMER, transactional_id), first_ms))
    return effects


def refuse_all(state: ShardState) -> Effects:
    """Send whoever waits to look for the coordinator."""
    effects = Effects()
    for waiting in state.waiting.values():
        for each in waiting:
            effects.refuse(each.info, ErrorCode.not_coordinator)
    state.waiting.clear()
    return effects
