"""Who a client of a SASL listener is: nothing else is answered before it has proved that (KIP-43, KIP-152).

A client that is known goes on with the router itself, unless its session ends at some time (KIP-368).
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from ottla.network.dispatcher import SMALLEST_REQUEST, Dispatcher
from ottla.network.output import Frame
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.headers import parse_request_header
from ottla.protocol.messages import APIS
from ottla.protocol.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from ottla.protocol.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from ottla.protocol.structs import Struct
from ottla.protocol.wire import decode_request, encode_response
from ottla.security.principal import Principal, in_one_line
from ottla.security.sasl import AuthenticationFailedError, Exchange, Identity, IdentityRefusedError

log = logging.getLogger("ottla.authentication")

_API_VERSIONS: Final = 18
_HANDSHAKE: Final = SaslHandshakeRequest.__key__
_AUTHENTICATE: Final = SaslAuthenticateRequest.__key__
_MAX_ELEMENTS: Final = 16
_LEAST_BETWEEN_RENEWALS_S: Final = 1.0

Outcome: TypeAlias = tuple[Frame | asyncio.Future[Any] | None, bool]
R = TypeVar("R", bound=Struct)


class Client(Protocol):
    """The connection of one."""

    session: Session

    @property
    def is_muted(self) -> bool: ...
    def route_to(self, router: Dispatcher, smallest_frame: int = SMALLEST_REQUEST) -> None: ...
    def refuse(self, why: str) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class SaslListener:
    """What holds for all clients of a listener."""

    mechanisms: tuple[str, ...]
    begin: Callable[[str], Exchange]
    """An attempt with one of the mechanisms"""
    max_receive_bytes: int
    max_reauth_ms: Mapping[str, int]
    """By mechanism; 0 for none"""
    failure_delay_s: float
    timeout_s: float
    now_ms: Callable[[], int]
    on_failure: Callable[[str, str, str], None] | None = None
    """Told the client's address, the listener and the reason of each failed attempt, in place of the log"""


class _State(enum.Enum):
    INITIAL = enum.auto()
    HANDSHAKE_OR_VERSIONS = enum.auto()
    HANDSHAKE = enum.auto()
    TOKENS = enum.auto()
    KNOWN = enum.auto()
    FAILED = enum.auto()


class Authenticator:
    """Takes the requests of one client."""

    def __init__(self, client: Client, router: Dispatcher, listener: Callable[[], SaslListener]) -> None:
        """`listener` is asked with each handshake, and before the first: settings change."""
        self._client = client
        self._router = router
        self._present = listener
        self._listener = listener()
        self._loop = asyncio.get_running_loop()
        self._state = _State.INITIAL
        self._has_headers = False
        self._mechanism = ""
        self._exchange: Exchange | None = None
        self._proved: tuple[str, Principal] | None = None
        """Mechanism and principal of an attempt before, which another one cannot change"""
        self._ends_at: float | None = None
        self._renewed_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begin_timer()
        client.session.is_known = False
        client.route_to(self)

    @property
    def least_frame_limit(self) -> int:
        if self._state is _State.KNOWN:
            return self._router.least_frame_limit
        return self._listener.max_receive_bytes

    def frame_limit(self, api_key: int, general_limit: int) -> int:
        if self._state is _State.KNOWN:
            return self._router.frame_limit(api_key, general_limit)
        return min(self._listener.max_receive_bytes, general_limit)

    def dispatch(self, session: Session, frame: memoryview) -> Outcome:
        """As the router's."""
        if self._state is _State.KNOWN:
            return self._of_known(session, frame)
        if self._state is _State.FAILED:  # what was sent behind it, until the connection is closed
            return None, False
        try:
            if self._state is _State.TOKENS:
                return (self._request if self._has_headers else self._token)(session, frame), False
            return self._opening(session, frame), False
        except _Failure as failure:
            return self._fail(failure), False

    def refuse(self, session: Session, frame: memoryview, error: KafkaError) -> Frame | None:
        return self._router.refuse(session, frame, error)

    def leave(self) -> None:
        """The connection is gone."""
        self._stop_timer()
        if self._exchange is not None and self._exchange.refusal is not None:
            self._note(f"the client closed the connection ({self._exchange.refusal})")

    # -- before anything is proved

    def _opening(self, session: Session, frame: memoryview) -> Frame | None:
        try:
            api_key, version, correlation_id, _, position = parse_request_header(frame)
            if api_key not in (_API_VERSIONS, _HANDSHAKE):
                raise MalformedRequest(f"{APIS[api_key].name} before the client has said who it is")
            if self._state is _State.INITIAL:
                self._state = _State.HANDSHAKE_OR_VERSIONS
        except MalformedRequest as error:
            raise MalformedRequest(
                f"{error}; potential reasons: a client with the wrong security.protocol, or none of Kafka's"
                if self._state is _State.INITIAL
                else str(error)
            ) from None
        if api_key == _API_VERSIONS:
            return self._versions(session, frame)
        asked = _decoded(SaslHandshakeRequest, version, frame, position)
        self._has_headers = version >= 1
        self._listener = self._present()
        mechanisms = self._listener.mechanisms
        if asked.mechanism not in mechanisms:
            code = ErrorCode.unsupported_sasl_mechanism
            answer = SaslHandshakeResponse(error_code=code, mechanisms=mechanisms)
            raise _Failure(
                f"Unsupported SASL mechanism {asked.mechanism[:100]}",
                encode_response(answer, version, correlation_id),
            )
        if self._proved is None or self._proved[0] == asked.mechanism:
            self._exchange = self._listener.begin(asked.mechanism)
        else:  # which is told with what comes next
            self._exchange = None
        self._mechanism = asked.mechanism
        self._state = _State.TOKENS
        if not self._has_headers:
            self._client.route_to(self, smallest_frame=0)
        return encode_response(SaslHandshakeResponse(mechanisms=mechanisms), version, correlation_id)

    def _versions(self, session: Session, frame: memoryview) -> Frame | None:
        if self._state is not _State.HANDSHAKE_OR_VERSIONS:
            raise MalformedRequest("ApiVersions once more before the client has said who it is")
        answer, _ = self._router.dispatch(session, frame)
        assert isinstance(answer, bytes)
        if answer[8:10] == b"\0\0":  # behind size and correlation id: it was answered, not refused
            self._state = _State.HANDSHAKE
        return answer

    # -- what proves it

    def _request(self, session: Session, frame: memoryview) -> Frame | None:
        api_key, version, correlation_id, _, position = parse_request_header(frame)
        if api_key != _AUTHENTICATE:
            text = f"Unexpected Kafka request of type {APIS[api_key].name} during SASL authentication."
            raise _Failure(
                text,
                self._router.refuse(session, frame, KafkaError(ErrorCode.illegal_sasl_state, text)),
                reason=None if self._exchange is None else self._exchange.refusal,
            )
        message = _decoded(SaslAuthenticateRequest, version, frame, position).auth_bytes
        try:
            said = self._respond(bytes(message))
        except _Failure as failure:
            if failure.text is not None:
                refusal = SaslAuthenticateResponse(
                    error_code=ErrorCode.sasl_authentication_failed, error_message=failure.text
                )
                failure.answer = encode_response(refusal, version, correlation_id)
            raise
        answer = SaslAuthenticateResponse(error_message="", auth_bytes=said)  # as Kafka has it, not null
        if self._is_proved():
            answer.session_lifetime_ms = self._complete()
        return encode_response(answer, version, correlation_id)

    def _token(self, _session: Session, frame: memoryview) -> Frame | None:
        said = self._respond(bytes(frame))
        if self._is_proved():
            self._complete()
        return len(said).to_bytes(4, "big") + said

    def _respond(self, message: bytes) -> bytes:
        during = "authentication" if self._proved is None else "re-authentication"
        if self._exchange is None:
            assert self._proved is not None
            raise _Failure(
                f"SASL mechanism '{self._mechanism}' requested by client is not supported for "
                f"re-authentication of mechanism '{self._proved[0]}'",
                told=False,
            )
        try:
            said = self._exchange.respond(message)
        except IdentityRefusedError as error:
            raise _Failure(str(error), reason=error.__cause__) from None
        except AuthenticationFailedError as error:
            raise _Failure(
                f"Authentication failed during {during} due to invalid credentials with SASL mechanism "
                f"{self._mechanism}",
                reason=error,
            ) from None
        identity = self._exchange.identity
        if identity is not None and self._proved is not None:
            before, now = self._proved[1], _principal(identity)
            if before != now:
                raise _Failure(
                    f"Cannot change principals during re-authentication from {before.type}.{before.name}: "
                    f"{now.type}.{now.name}"
                )
        return said

    def _is_proved(self) -> bool:
        return self._exchange is not None and self._exchange.identity is not None

    def _complete(self) -> int:
        """The client is known now; gives for how long, in milliseconds, 0 for as long as it stays."""
        assert self._exchange is not None
        identity = self._exchange.identity
        assert identity is not None
        self._stop_timer()
        principal, session = _principal(identity), self._client.session
        if session.principal != principal or session.groups != identity.groups:
            session.principal, session.groups, session.access = principal, identity.groups, None
        session.is_token_owner = identity.is_token_owner
        session.is_known = True
        self._proved = self._mechanism, principal
        self._exchange = None
        self._state = _State.KNOWN
        times = [self._listener.max_reauth_ms.get(self._mechanism, 0) or None]
        if identity.expires_ms is not None:
            times.append(max(0, identity.expires_ms - self._listener.now_ms()))
        lifetime_ms = min((each for each in times if each is not None), default=None)
        self._ends_at = None if lifetime_ms is None else self._loop.time() + lifetime_ms / 1000
        self._client.route_to(self._router if lifetime_ms is None else self)
        return lifetime_ms or 0

    # -- after it, where sessions end

    def _of_known(self, session: Session, frame: memoryview) -> Outcome:
        now = self._loop.time()
        if int.from_bytes(frame[:2], "big") == _HANDSHAKE and self._may_renew(now):
            self._renewed_at = now
            self._begin_timer()
            self._state = _State.HANDSHAKE
            self._client.route_to(self)
            return self.dispatch(session, frame)
        if self._ends_at is not None and now > self._ends_at:
            raise MalformedRequest("its session has ended, and it did not say again who it is")
        return self._router.dispatch(session, frame)

    def _may_renew(self, now: float) -> bool:
        return self._renewed_at is None or now - self._renewed_at >= _LEAST_BETWEEN_RENEWALS_S

    # -- failures

    def _fail(self, failure: _Failure) -> asyncio.Future[Frame | None]:
        """Answered late, and the end of the connection: so nobody guesses fast."""
        self._stop_timer()
        self._state = _State.FAILED
        self._exchange = None
        self._note(failure.line())
        ending: asyncio.Future[Frame | None] = self._loop.create_future()
        self._loop.call_later(self._listener.failure_delay_s, self._end, ending, failure.answer)
        return ending

    def _note(self, why: str) -> None:
        session = self._client.session
        if self._listener.on_failure is not None:
            self._listener.on_failure(session.peer_host, session.listener, why)
            return
        log.info(
            "failed %sauthentication of %s on listener %s: %s",
            "" if self._proved is None else "re-",
            session.peer_host,
            session.listener,
            in_one_line(why),
        )

    def _end(self, ending: asyncio.Future[Frame | None], answer: Frame | None) -> None:
        if not ending.done():  # cancelled where the client went first
            ending.set_result(answer)
            self._loop.call_soon(self._client.close)  # after whoever waits for the answer has sent it

    def _begin_timer(self) -> None:
        self._timer = self._loop.call_later(self._listener.timeout_s, self._too_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        if self._client.is_muted:  # so that it could not
            self._begin_timer()
            return
        self._timer = None
        self._client.refuse(f"it has not said who it is within {self._listener.timeout_s:g} s")


class _Failure(Exception):  # noqa: N818 - an ending, not an error of ours
    """Of an attempt."""

    def __init__(
        self,
        said: str,
        answer: Frame | None = None,
        *,
        reason: BaseException | None = None,
        told: bool = True,
    ) -> None:
        """`said` is for the client, unless it is not `told`; `reason` for the log."""
        super().__init__(said)
        self.said = said
        self.answer = answer
        self.text = said if told else None
        self._reason = reason

    def line(self) -> str:
        return self.said if self._reason is None else f"{self.said} ({self._reason})"


def _principal(identity: Identity) -> Principal:
    return Principal("User", identity.name)


def _decoded(class_: type[R], version: int, frame: memoryview, position: int) -> R:
    api = APIS[class_.__key__]
    if not api.lowest <= version <= api.highest:
        raise MalformedRequest(f"{api.name} version {version} is not supported")
    decoded = decode_request(class_.__key__, version, frame, position, _MAX_ELEMENTS)
    assert isinstance(decoded, class_)
    return decoded


def authentication(
    router: Dispatcher, listener: Callable[[], SaslListener]
) -> Callable[[Client], Callable[[], None]]:
    """What a connection asks for when it begins; gives what is called when it is gone."""
    return lambda client: Authenticator(client, router, listener).leave
