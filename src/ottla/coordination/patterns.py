"""Clients' patterns, run inside a coordinator: topics to subscribe to (KIP-848), transactions to list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ottla.protocol.errors import ErrorCode, KafkaError

_MAX_BYTES: Final = 1024 * 1024
_MAX_INSTRUCTIONS: Final = 5_000
"""Where the states of a pattern outgrow its memory, the longest topic name still costs no more than 2 ms."""


def matching_names(pattern: str, names: Iterable[str], called: str) -> frozenset[str]:
    """The names that the whole pattern matches, in RE2's syntax; `called` is what refusals call it.

    A client's pattern runs inside the coordinator, so it gets linear time and little space: `(a+)+$` would
    stop a backtracking engine. Raises KafkaError(invalid_regular_expression) for what RE2 refuses.
    """
    import re2  # here, so that only a broker with patterns loads it

    options = re2.Options()
    options.max_mem = _MAX_BYTES
    options.never_capture = True
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason: bytes = error.args[0]
        raise _invalid(called, pattern, reason.decode(errors="replace")) from error
    except UnicodeEncodeError as error:
        raise _invalid(called, pattern, "not valid Unicode") from error
    finally:
        re2.purge()  # it would keep 128 patterns, each with all its memory
    if compiled.programsize > _MAX_INSTRUCTIONS:
        raise _invalid(called, pattern, "pattern too large")
    return frozenset(name for name in names if compiled.fullmatch(name))


def _invalid(called: str, pattern: str, reason: str) -> KafkaError:
    return KafkaError(
        ErrorCode.invalid_regular_expression,
        f"{called} `{pattern}` is not a valid regular expression: {reason}.",
    )
