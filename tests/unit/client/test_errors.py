"""From Kafka's codes to kinds of errors."""

from __future__ import annotations

import pytest

from ottla.client.errors import AuthorizationError, BrokerError, ClientError, FencedError, broker_error
from ottla.protocol.errors import ErrorCode


@pytest.mark.parametrize(
    ("code", "kind", "retriable", "needs_refresh"),
    [
        (ErrorCode.not_leader_or_follower, BrokerError, True, True),
        (ErrorCode.coordinator_load_in_progress, BrokerError, True, False),
        (ErrorCode.message_too_large, BrokerError, False, False),
        (ErrorCode.topic_authorization_failed, AuthorizationError, False, False),
        (ErrorCode.producer_fenced, FencedError, False, False),
    ],
)
def test_kinds(code: ErrorCode, kind: type[ClientError], retriable: bool, needs_refresh: bool) -> None:
    error = broker_error(code, "because", "topic t")
    assert type(error) is kind
    assert (error.code, error.retriable, error.needs_refresh) == (code, retriable, needs_refresh)
    assert str(error) == f"topic t: {code.name}: because"


def test_a_code_that_is_not_known_is_told() -> None:
    error = broker_error(9999)
    assert error.code is ErrorCode.unknown_server_error
    assert "9999" in str(error)
    assert not error.retriable
