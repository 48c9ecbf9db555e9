"""What can go wrong for a client, as one family: catch `ClientError`, ask `retriable`.

What a broker refuses keeps Kafka's error code; what never reached a broker has kinds of its own.
"""

from __future__ import annotations

from typing import Final, Self

from ottla.protocol.errors import ErrorCode

__all__ = [
    "AuthenticationError",
    "AuthorizationError",
    "BrokerError",
    "BrokerUnreachableError",
    "BrokerUpgradeError",
    "ClientClosedError",
    "ClientError",
    "ConfigurationError",
    "DisconnectedError",
    "FencedError",
    "ForkedError",
    "MalformedResponseError",
    "MissingExtraError",
    "RequestTimeoutError",
    "broker_error",
    "code_of",
    "is_retriable",
    "missing_extra",
]


class ClientError(Exception):
    """Something failed, and the text says what and where.

    `retriable`: the same may succeed when it is tried again. `needs_refresh`: only after the client has asked
    anew where partitions lie. What was sent may have been carried out all the same unless a broker said no.
    """

    retriable: bool = False
    needs_refresh: bool = False
    code: ErrorCode | None = None
    """What the broker answered, where it did."""

    def again(self) -> Self:
        """The same for another who waited: one that is raised twice would gather both tracebacks."""
        copy = type(self).__new__(type(self), *self.args)
        copy.__dict__.update(self.__dict__)
        return copy


class ConfigurationError(ClientError, ValueError):
    """A setting that there is not, or a value that it does not take."""


class ClientClosedError(ClientError):
    """The client was closed."""


class ForkedError(ClientError):
    """The client was made in another process, whose sockets and threads this one does not have."""


class BrokerUnreachableError(ClientError):
    """No connection: the text names the addresses and the reason of each. Nothing was sent."""

    retriable = True
    needs_refresh = True


class DisconnectedError(ClientError):
    """The connection went while an answer was awaited: what was asked may have been done."""

    retriable = True
    needs_refresh = True


class RequestTimeoutError(ClientError, TimeoutError):
    """No answer in time: what was asked may have been done."""

    retriable = True
    needs_refresh = True


class MalformedResponseError(ClientError):
    """A broker, or what answers in its place, sent something that is not Kafka's protocol."""


class BrokerUpgradeError(ClientError):
    """The broker has no version of an API that serves here."""


class AuthenticationError(ClientError):
    """The broker does not believe who we are, or we don't believe who it is."""


class MissingExtraError(ClientError, ImportError):
    """What was asked for needs packages that are not installed; the text names the extra that brings them."""


class BrokerError(ClientError):
    """A broker's refusal: `code` is Kafka's, `reason` what the broker said in words, if it did."""

    code: ErrorCode

    def __init__(self, code: ErrorCode, reason: str | None = None, what: str | None = None) -> None:
        text = code.name if reason is None else f"{code.name}: {reason}"
        super().__init__(text if what is None else f"{what}: {text}")
        self.code = code
        self.reason = reason
        self.retriable = code in _RETRIABLE
        self.needs_refresh = code in _STALE_METADATA


class AuthorizationError(BrokerError):
    """The principal may not do this."""


class FencedError(BrokerError):
    """Another instance has taken over: this producer or member is finished."""


_STALE_METADATA: Final = frozenset(
    {
        ErrorCode.unknown_topic_or_partition,
        ErrorCode.leader_not_available,
        ErrorCode.not_leader_or_follower,
        ErrorCode.replica_not_available,
        ErrorCode.kafka_storage_error,
        ErrorCode.listener_not_found,
        ErrorCode.fenced_leader_epoch,
        ErrorCode.preferred_leader_not_available,
        ErrorCode.eligible_leaders_not_available,
        ErrorCode.not_controller,
        ErrorCode.network_exception,
        ErrorCode.unknown_topic_id,
        ErrorCode.inconsistent_topic_id,
    }
)
"""What tells a client that it knows the cluster as it was."""

_RETRIABLE: Final = _STALE_METADATA | frozenset(
    {
        ErrorCode.corrupt_message,
        ErrorCode.request_timed_out,
        ErrorCode.coordinator_load_in_progress,
        ErrorCode.coordinator_not_available,
        ErrorCode.not_coordinator,
        ErrorCode.not_enough_replicas,
        ErrorCode.not_enough_replicas_after_append,
        ErrorCode.concurrent_transactions,
        ErrorCode.unknown_leader_epoch,
        ErrorCode.offset_not_available,
        ErrorCode.fetch_session_id_not_found,
        ErrorCode.invalid_fetch_session_epoch,
        ErrorCode.fetch_session_topic_id_error,
        ErrorCode.unstable_offset_commit,
        ErrorCode.throttling_quota_exceeded,
        ErrorCode.broker_not_available,
        ErrorCode.election_not_needed,
        ErrorCode.share_session_not_found,
        ErrorCode.invalid_share_session_epoch,
        ErrorCode.share_session_limit_reached,
        ErrorCode.unknown_subscription_id,
        ErrorCode.ineligible_replica,
    }
)

_AUTHORIZATION: Final = frozenset(
    {
        ErrorCode.topic_authorization_failed,
        ErrorCode.group_authorization_failed,
        ErrorCode.cluster_authorization_failed,
        ErrorCode.transactional_id_authorization_failed,
        ErrorCode.delegation_token_authorization_failed,
    }
)

_FENCED: Final = frozenset(
    {
        ErrorCode.producer_fenced,
        ErrorCode.invalid_producer_epoch,
        ErrorCode.fenced_instance_id,
        ErrorCode.transaction_coordinator_fenced,
    }
)


def code_of(code: int) -> ErrorCode:
    """What a broker answered; `unknown_server_error` for what is not known here."""
    try:
        return ErrorCode(code)
    except ValueError:
        return ErrorCode.unknown_server_error


def is_retriable(code: int) -> bool:
    """Whether Kafka's clients try again on this code; also where the code is not known here (it is not)."""
    return code in _RETRIABLE


def broker_error(code: int, reason: str | None = None, what: str | None = None) -> ClientError:
    """The error of a code that is not `none`; `what` was asked for ("topic orders") goes before it."""
    known = code_of(code)
    if known != code:
        reason = f"error {code}" if reason is None else f"error {code}: {reason}"
    if known in _AUTHORIZATION:
        return AuthorizationError(known, reason, what)
    if known in _FENCED:
        return FencedError(known, reason, what)
    return BrokerError(known, reason, what)


def missing_extra(what: str, error: ImportError, extra: str = "arrow") -> MissingExtraError:
    """`what` (in the plural) needs the package that `error` did not find."""
    return MissingExtraError(f"{what} need {error.name}: pip install 'ottla[{extra}]'", name=error.name)
