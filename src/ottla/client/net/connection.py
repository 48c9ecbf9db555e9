"""One connection to a broker: requests are pipelined, answers come in order, each within its time."""

from __future__ import annotations

import asyncio
import errno
import inspect
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, cast

from ottla import __version__
from ottla.client.core.connection import (
    Buffer,
    FrameReader,
    Negotiation,
    Pipeline,
    Versions,
    decode_body,
)
from ottla.client.core.metadata import BrokerNode
from ottla.client.errors import (
    AuthenticationError,
    BrokerError,
    BrokerUnreachableError,
    ClientClosedError,
    ClientError,
    DisconnectedError,
    MalformedResponseError,
    RequestTimeoutError,
    broker_error,
)
from ottla.client.net.host import Host
from ottla.client.settings import ClientSettings
from ottla.identity.sasl import (
    MAX_CHALLENGE_BYTES,
    Mechanism,
    OAuthBearer,
    SaslError,
    extensions_of,
    is_token,
    password_mechanism,
)
from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.api_versions import ApiVersionsRequest
from ottla.protocol.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from ottla.protocol.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from ottla.protocol.structs import Struct

MAX_IN_FLIGHT: Final = 100
"""Requests of one connection; further ones wait. A broker looks at one at a time anyway."""

NEVER: Final = float("inf")
_RENEW_AFTER: Final = 0.85
"""Of a session's time, as Java's client does it"""

_AT_ONCE: Final = "at the first request: it may want security.protocol=SASL_PLAINTEXT or SASL_SSL"
_PROVIDER: Final = "sasl.oauthbearer.token.provider"
_SHOWN: Final = 500
"""Characters of a broker's reason"""

R = TypeVar("R", bound=Struct)
_Future = asyncio.Future[memoryview]


class Connection(asyncio.BufferedProtocol):
    """Made by `connect`. `node` is whom it was made to reach; its id is negative for a bootstrap address."""

    def __init__(self, node: BrokerNode, settings: ClientSettings) -> None:
        self.node = node
        self.versions = Versions({})
        self.error: ClientError | None = None
        """Why it is closed; None while it is open."""
        self._loop = asyncio.get_running_loop()
        self.last_used = self._loop.time()
        self._reader = FrameReader(settings.receive_message_max_bytes)
        self._pipeline: Pipeline[_Future] = Pipeline(settings.client_id)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._uses_sasl = settings.uses_sasl
        self._negotiating = 0
        self._is_paused = False
        self.renew_at = NEVER
        """When the broker is to be told again who we are (KIP-368), before it wants to know"""
        self._renewal: asyncio.Future[None] | None = None
        """While that goes on: nothing else may be sent"""
        self._answered: asyncio.Future[None] | None = None
        """Whoever waits until nothing is in flight"""
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answers, or to be sent."""
        return len(self._pipeline) + len(self._waiting)

    @property
    def is_ready(self) -> bool:
        """Whether a request may be sent at once."""
        return self.error is None and self._renewal is None

    async def request(
        self,
        api_key: int,
        version: int,
        body: Sequence[Buffer],
        timeout_s: float,
        *,
        is_answered: bool = True,
    ) -> memoryview:
        """The answer behind its header; empty where none comes. Requests go out in the order of calls.

        RequestTimeoutError when it takes longer: the connection is closed then, since nothing can come
        before the answer that is missing. DisconnectedError when the connection goes earlier.
        """
        deadline = self._loop.time() + timeout_s
        if self._is_paused or self._renewal or len(self._pipeline) >= MAX_IN_FLIGHT or self._waiting:
            await self._turn(timeout_s)
        answer = self.submit(api_key, version, body, deadline, is_answered=is_answered)
        return memoryview(b"") if answer is None else await answer

    def submit(
        self, api_key: int, version: int, body: Sequence[Buffer], deadline: float, *, is_answered: bool = True
    ) -> asyncio.Future[memoryview] | None:
        """As `request`, at once, whatever else is in flight: for callers that keep to a bound of their own.
        None where no answer comes.
        """
        if self.error is not None or self._transport is None:
            raise (self.error or DisconnectedError(f"{self.node.address}: not connected")).again()
        future: _Future = self._loop.create_future()
        self._transport.writelines(
            self._pipeline.send(api_key, version, body, future, deadline, is_answered=is_answered)
        )
        self.last_used = self._loop.time()
        if not is_answered:
            return None
        if self._timer is None or self._timer.when() > deadline:
            self._arm(deadline)
        return future

    def close(self) -> None:
        """At once; what waits fails."""
        self._lose(ClientClosedError("the client was closed"))

    async def negotiate(self, cluster_id: str | None, timeout_s: float) -> None:
        """Find out which versions the broker speaks; nothing else may be sent before."""
        is_known = self.node.node_id >= 0
        negotiation = Negotiation(__version__, cluster_id, self.node.node_id if is_known else None)
        versions: Versions | None = None
        while versions is None:
            key, version = ApiVersionsRequest.__key__, negotiation.version
            versions = negotiation.answer(await self.request(key, version, [negotiation.body()], timeout_s))
        self.versions = versions
        self._negotiating = self._pipeline.sent

    async def authenticate(self, mechanism_name: str, mechanism: Mechanism, timeout_s: float) -> None:
        """Prove who we are; AuthenticationError where the broker, or we, say no."""
        handshake = await self._ask(
            SaslHandshakeRequest(mechanism=mechanism_name), SaslHandshakeResponse, timeout_s, lowest=1
        )
        if handshake.error_code == ErrorCode.illegal_sasl_state:
            raise AuthenticationError("illegal_sasl_state: this listener asks nobody who they are")
        if handshake.error_code not in (ErrorCode.none, ErrorCode.unsupported_sasl_mechanism):
            raise AuthenticationError(str(broker_error(handshake.error_code)))
        if handshake.error_code:
            offered = ", ".join(handshake.mechanisms[:20])
            raise AuthenticationError(f"the broker does not speak {mechanism_name}, but: {offered or 'none'}")
        message: bytes | None = mechanism.first()
        while message is not None:
            answer = await self._ask(
                SaslAuthenticateRequest(auth_bytes=message), SaslAuthenticateResponse, timeout_s
            )
            if answer.error_code:
                reason = answer.error_message or str(broker_error(answer.error_code))
                raise AuthenticationError(reason[:_SHOWN])
            try:
                message = mechanism.answer(answer.auth_bytes)
            except SaslError as error:
                raise AuthenticationError(str(error)) from error
        if answer.session_lifetime_ms > 0:
            self.renew_at = self._loop.time() + answer.session_lifetime_ms / 1000 * _RENEW_AFTER

    async def authenticate_again(self, mechanism_name: str, mechanism: Mechanism, timeout_s: float) -> None:
        """As `authenticate`, before the session ends. What is in flight is answered first; what is asked for
        meanwhile waits. When it fails the connection is closed.
        """
        self._renewal = self._loop.create_future()
        self.renew_at = NEVER
        try:
            if len(self._pipeline):
                self._answered = self._loop.create_future()
                await self._answered
            async with asyncio.timeout(timeout_s):
                await self.authenticate(mechanism_name, mechanism, timeout_s)
        except BaseException as error:
            lost = DisconnectedError(f"{self.node.address}: the session could not be renewed")
            self._lose(error if isinstance(error, ClientError) else lost)
            raise
        finally:
            self._renewal.set_result(None)
            self._renewal = None
            self._let_next_go()

    async def ready(self) -> None:
        """Once requests may be sent, or it is closed."""
        if self._renewal is not None:
            await asyncio.shield(self._renewal)

    async def _ask(
        self, request: Struct, response_class: type[R], timeout_s: float, *, lowest: int | None = None
    ) -> R:
        key = type(request).__key__
        version = self.versions.need(key, lowest)
        answer = self.submit(key, version, [wire.encode(request, version)], self._loop.time() + timeout_s)
        assert answer is not None  # as each of these is answered
        body = await answer
        if len(body) > MAX_CHALLENGE_BYTES:
            raise MalformedResponseError(f"{self.node.address}: an answer to SASL of {len(body)} bytes")
        return decode_body(response_class, version, body)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's
        return self._reader.space()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            frames = self._reader.received(nbytes)
            for answer in self._pipeline.receive(frames):
                if not answer.token.done():
                    answer.token.set_result(answer.body)
        except MalformedResponseError as error:
            self._lose(MalformedResponseError(f"{self.node.address}: {error}"))
            return
        if frames:
            self.last_used = self._loop.time()
            self._let_next_go()
            if self._answered is not None and not len(self._pipeline) and not self._answered.done():
                self._answered.set_result(None)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._let_next_go()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, error: Exception | None) -> None:
        reason = "the broker closed the connection" if error is None else str(error) or repr(error)
        unanswered = len(self._pipeline)
        if unanswered and unanswered == self._pipeline.sent - self._negotiating and not self._uses_sasl:
            # Where SASL is wanted, ApiVersions is all that is answered without it.
            reason = f"{reason} {_AT_ONCE}" if self._negotiating else reason
        self._lose(DisconnectedError(f"{self.node.address}: {reason}"))

    # Inside.

    async def _turn(self, timeout_s: float) -> None:
        """Wait until there is room for one more."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except BaseException as error:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.done() and not turn.cancelled():
                self._let_next_go()
            if isinstance(error, TimeoutError):
                raise self._timed_out() from None
            raise

    def _let_next_go(self) -> None:
        room = MAX_IN_FLIGHT - len(self._pipeline)
        while self._waiting and room > 0 and not self._is_paused and self._renewal is None:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._check_deadlines)

    def _check_deadlines(self) -> None:
        self._timer = None
        deadline = self._pipeline.next_deadline()
        if deadline is None:
            return
        if deadline > self._loop.time():
            self._arm(deadline)
        else:
            self._lose(self._timed_out())

    def _timed_out(self) -> RequestTimeoutError:
        return RequestTimeoutError(f"{self.node.address}: no answer in time")

    def _lose(self, error: ClientError) -> None:
        if self.error is not None:
            return
        self.error = error
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiting: list[asyncio.Future[Any]] = [*self._pipeline.abandon(), *self._waiting]
        if self._answered is not None:
            waiting.append(self._answered)
        self._waiting.clear()
        for each in waiting:
            if not each.done():
                each.set_exception(error.again())
                each.exception()  # whoever waited may be gone: nothing is to be logged then


async def connect(
    node: BrokerNode,
    settings: ClientSettings,
    host: Host,
    context: ssl.SSLContext | None,
    cluster_id: str | None,
) -> Connection:
    """A connection that is ready for requests. BrokerUnreachableError names address and reason;
    AuthenticationError where TLS or SASL say no.
    """
    timeout_s = settings.socket_connection_setup_timeout_ms / 1000
    stage = "before it answered ApiVersions"
    connection = Connection(node, settings)
    try:
        async with asyncio.timeout(timeout_s):
            server_name = node.host if context is not None else None
            await host.dial(lambda: connection, node.host, node.port, context, server_name)
            await connection.negotiate(cluster_id, timeout_s)
            if settings.uses_sasl:
                stage = "while it was told who we are"
                mechanism = await mechanism_of(settings, host)
                await connection.authenticate(settings.sasl_mechanism, mechanism, timeout_s)
    except BaseException as error:
        connection.close()
        told = _connecting_failed(node, error, timeout_s, stage)
        if told is None:
            raise
        raise told from error
    return connection


async def mechanism_of(settings: ClientSettings, host: Host) -> Mechanism:
    """What `authenticate` proves who we are by, once."""
    if settings.sasl_mechanism == "OAUTHBEARER":
        provider = settings.sasl_oauthbearer_token_provider
        token = settings.sasl_oauthbearer_token or await _provided(provider)
        return OAuthBearer(token, extensions_of(settings.sasl_oauthbearer_extensions))
    nonce = f"{host.random.getrandbits(192):048x}"
    is_token = settings.is_delegation_token
    return password_mechanism(settings.sasl_mechanism, *settings.sasl_credentials, nonce, is_token=is_token)


async def _provided(provider: Callable[[], str | Awaitable[str]] | None) -> str:
    """A token from the user's function. OSError where it fails so: that may be over the next time."""
    assert provider is not None  # what settings are checked for
    try:
        given = provider()
        token = await given if inspect.isawaitable(given) else given
    except OSError as error:
        raise OSError(f"{_PROVIDER}: {error}") from error
    except Exception as error:
        raise AuthenticationError(f"{_PROVIDER}: {type(error).__name__}: {error}") from error
    if not is_token(token):
        raise AuthenticationError(f"{_PROVIDER} gave what is no token")
    return token


def _connecting_failed(
    node: BrokerNode, error: BaseException, timeout_s: float, stage: str
) -> ClientError | None:
    """How a failure is told; None for one that is told as it is."""
    if isinstance(error, AuthenticationError):
        return AuthenticationError(f"{node.address}: {error}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return AuthenticationError(f"{node.address}: {error.verify_message}")
    if isinstance(error, BrokerError) and error.code is ErrorCode.rebootstrap_required:
        return BrokerUnreachableError(f"{node.address}: another broker than the one that was there before")
    if isinstance(error, DisconnectedError):
        return BrokerUnreachableError(f"{error} {stage}")
    if isinstance(error, TimeoutError):
        return BrokerUnreachableError(f"{node.address}: no connection within {timeout_s:g} s")
    if isinstance(error, OSError):
        # Of several addresses of a name asyncio gives the text alone.
        is_refused = f"[Errno {errno.ECONNREFUSED}]" in str(error)
        reason = "connection refused" if is_refused else error.strerror or error
        return BrokerUnreachableError(f"{node.address}: {reason}")
    if isinstance(error, ValueError | OverflowError):  # what is no host name or port at all
        return BrokerUnreachableError(f"{node.address}: {error}")
    return None
