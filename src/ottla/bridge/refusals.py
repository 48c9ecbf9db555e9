"""What a failure is in HTTP. Pure."""

from __future__ import annotations

from typing import Final

from ottla.client.errors import AuthenticationError, AuthorizationError, ClientError
from ottla.http.errors import HttpError
from ottla.protocol.errors import ErrorCode

_STATUSES: Final = {
    ErrorCode.unknown_topic_or_partition: 404,
    ErrorCode.unknown_topic_id: 404,
    ErrorCode.topic_already_exists: 409,
    ErrorCode.invalid_topic_exception: 422,
    ErrorCode.invalid_partitions: 422,
    ErrorCode.invalid_replication_factor: 422,
    ErrorCode.invalid_config: 422,
    ErrorCode.policy_violation: 422,
    ErrorCode.message_too_large: 413,
    ErrorCode.record_list_too_large: 413,
    ErrorCode.throttling_quota_exceeded: 429,
}


def status_of(error: ClientError) -> int:
    if isinstance(error, AuthenticationError):
        return 401
    if isinstance(error, AuthorizationError):
        return 403
    return 500 if error.code is None else _STATUSES.get(error.code, 500)


def refusal(error: Exception) -> HttpError | None:
    """None for what is nobody's refusal, but a bug."""
    if isinstance(error, HttpError):
        return error
    return HttpError(status_of(error), str(error)) if isinstance(error, ClientError) else None
