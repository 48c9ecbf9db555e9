"""The way to etcd's members: one of them is asked, and when it does not answer, the next.

What is known after each failure decides what may be done: a request that was never sent may go to the next
member, one that was sent and not answered has an unknown outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import grpc
from grpc import StatusCode

from ottla.store.etcd import messages_pb2 as pb
from ottla.store.etcd.versions import why_unfit
from ottla.store.interface import (
    CompactedError,
    LeaseNotFoundError,
    OutcomeUnknownError,
    StoreError,
    UnfitStoreError,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message

log = logging.getLogger(__name__)

RESPONSE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of one answer; a larger page is asked for in halves."""
_HAS_LEADER: Final = ("hasleader", "true")
"""Has a member that is cut off from its cluster refuse at once, and end its watches."""
_PAUSE_S: Final = 0.1


class UnreachableError(StoreError):
    """A member that could not be asked: it is not there, or refuses who comes."""


class UnfitServerError(UnfitStoreError):
    """A server that Ottla must not use: its version loses data, or it is not the store that it was."""


class TooLargeError(StoreError):
    """The answer is larger than `RESPONSE_BYTES_MAX`."""


class Access(NamedTuple):
    """How to come in. Certificates and keys are PEM; without `ca` the system's authorities are believed."""

    tls: bool = False
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    user: str | None = None
    password: str = ""


class Timeouts(NamedTuple):
    """In seconds: for one member to answer, and for all attempts together."""

    attempt_s: float = 1.5
    total_s: float = 10.0


class Method(NamedTuple):
    """One of etcd's calls."""

    path: str
    response: type[Message]


RANGE: Final = Method("/etcdserverpb.KV/Range", pb.RangeResponse)
TXN: Final = Method("/etcdserverpb.KV/Txn", pb.TxnResponse)
COMPACT: Final = Method("/etcdserverpb.KV/Compact", pb.CompactionResponse)
LEASE_GRANT: Final = Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)
LEASE_REVOKE: Final = Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse)
LEASE_KEEP_ALIVE: Final = Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveResponse)
WATCH: Final = Method("/etcdserverpb.Watch/Watch", pb.WatchResponse)
_STATUS: Final = Method("/etcdserverpb.Maintenance/Status", pb.StatusResponse)
_AUTHENTICATE: Final = Method("/etcdserverpb.Auth/Authenticate", pb.AuthenticateResponse)


class Member:
    """One of them, over one connection."""

    def __init__(self, endpoint: str, access: Access) -> None:
        self.endpoint = endpoint
        self._access = access
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),  # what to do after a failure is decided here
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.max_receive_message_length", RESPONSE_BYTES_MAX),
            ("grpc.enable_http_proxy", 0),
        ]
        if access.tls:
            credentials = grpc.ssl_channel_credentials(access.ca, access.key, access.certificate)
            self._channel = grpc.aio.secure_channel(endpoint, credentials, options)
        else:
            self._channel = grpc.aio.insecure_channel(endpoint, options)
        self._is_fit = False
        self._token: str | None = None

    async def prepare(self, timeout_s: float) -> None:
        """Connect, look at the server's version, and log in; nothing was asked of it as long as this fails.

        Raises UnreachableError, and UnfitServerError for a version that must not be used.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._channel.channel_ready()
        except TimeoutError:
            raise UnreachableError(f"etcd at {self.endpoint} cannot be reached") from None
        try:
            if self._access.user is not None and self._token is None:
                request = pb.AuthenticateRequest(name=self._access.user, password=self._access.password)
                answer = await self._unary(_AUTHENTICATE, request, timeout_s)
                assert isinstance(answer, pb.AuthenticateResponse)
                self._token = answer.token
            if not self._is_fit:
                status = await self._unary(_STATUS, pb.StatusRequest(), timeout_s)
                assert isinstance(status, pb.StatusResponse)
                reason = why_unfit(status.version)
                if reason is not None:
                    raise UnfitServerError(f"the server at {self.endpoint} is refused: {reason}")
                self._is_fit = True
        except grpc.aio.AioRpcError as error:
            raise UnreachableError(f"etcd at {self.endpoint}: {in_words(error)}") from error

    def log_in_again(self) -> None:
        """The token has expired."""
        self._token = None

    async def ask(self, method: Method, request: Message, timeout_s: float) -> Message:
        """Raises AioRpcError."""
        return await self._unary(method, request, timeout_s)

    @contextlib.asynccontextmanager
    async def stream(self, method: Method, timeout_s: float | None = None) -> AsyncIterator[Stream]:
        """A call that both sides talk in; given up at the end. Raises AioRpcError."""
        call = self._channel.stream_stream(method.path, _to_bytes, method.response.FromString)(
            metadata=self._metadata(), timeout=timeout_s
        )
        try:
            yield Stream(call)
        finally:
            call.cancel()

    async def close(self) -> None:
        await self._channel.close()

    async def _unary(self, method: Method, request: Message, timeout_s: float) -> Message:
        call = self._channel.unary_unary(method.path, _to_bytes, method.response.FromString)
        answer: Message = await call(request, metadata=self._metadata(), timeout=timeout_s)
        return answer

    def _metadata(self) -> Sequence[tuple[str, str]]:
        return (_HAS_LEADER,) if self._token is None else (_HAS_LEADER, ("token", self._token))


class Stream:
    """Messages both ways."""

    def __init__(self, call: grpc.aio.StreamStreamCall[Message, Message]) -> None:
        self._call = call

    async def write(self, message: Message) -> None:
        await self._call.write(message)

    async def read(self) -> Message | None:
        """None when the other side has ended it."""
        message = await self._call.read()
        return None if message is grpc.aio.EOF else message  # type: ignore[return-value]


class Members:
    """All of them. The one that answered last is asked first."""

    def __init__(self, endpoints: Sequence[str], access: Access, timeouts: Timeouts) -> None:
        self._members = [Member(endpoint, access) for endpoint in endpoints]
        self._current = 0
        self._timeouts = timeouts

    @property
    def current(self) -> Member:
        return self._members[self._current]

    def pass_on(self, silent: Member) -> None:
        """The next one is asked, unless somebody has seen to it already."""
        if self.current is silent:
            self._current = (self._current + 1) % len(self._members)

    async def ask(self, method: Method, request: Message) -> Message:
        """Ask until one answers: for what may be done twice.

        Raises StoreError when none does in time, and what `refusal` makes of an answer.
        """
        return await self._ask(method, request, is_repeatable=True)

    async def ask_once(self, method: Method, request: Message) -> Message:
        """As `ask`, for what changes something: raises OutcomeUnknownError when it may have been done."""
        return await self._ask(method, request, is_repeatable=False)

    async def keep_alive(self, lease_id: int) -> int:
        """Put a lease's end off; its time to live in seconds, 0 where there is none. Raises as `ask`."""

        async def once(member: Member) -> Message:
            async with member.stream(LEASE_KEEP_ALIVE, self._timeouts.attempt_s) as stream:
                await stream.write(pb.LeaseKeepAliveRequest(id=lease_id))
                answer = await stream.read()
                if answer is None:
                    raise ConnectionError("it ended the call")
                return answer

        answer = await self._until_one_answers(once, is_repeatable=True)
        assert isinstance(answer, pb.LeaseKeepAliveResponse)
        return answer.ttl

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members))

    async def _ask(self, method: Method, request: Message, *, is_repeatable: bool) -> Message:
        attempt_s = self._timeouts.attempt_s
        return await self._until_one_answers(
            lambda member: member.ask(method, request, attempt_s), is_repeatable=is_repeatable
        )

    async def _until_one_answers(self, once: Once, *, is_repeatable: bool) -> Message:
        clock = asyncio.get_running_loop().time
        end = clock() + self._timeouts.total_s
        while True:
            member = self.current
            failure: StoreError
            try:
                await member.prepare(self._timeouts.attempt_s)
                return await once(member)
            except UnreachableError as error:
                failure = error
            except ConnectionError as error:
                failure = StoreError(f"etcd at {member.endpoint}: {error}")
            except grpc.aio.AioRpcError as error:
                if error.code() is StatusCode.UNAUTHENTICATED:
                    member.log_in_again()
                elif (refused := refusal(error)) is not None:
                    raise refused from error
                elif not is_repeatable and not _was_not_begun(error):
                    self.pass_on(member)
                    raise OutcomeUnknownError(f"etcd at {member.endpoint}: {in_words(error)}") from error
                failure = StoreError(f"etcd at {member.endpoint}: {in_words(error)}")
            self.pass_on(member)
            if clock() >= end:
                raise failure
            await asyncio.sleep(_PAUSE_S)


class Once(Protocol):
    """One attempt at one member."""

    async def __call__(self, member: Member, /) -> Message: ...


def refusal(error: grpc.aio.AioRpcError) -> Exception | None:
    """What an answer means that would be the same from every member; None where another may do better."""
    code, text = error.code(), error.details() or ""
    if code is StatusCode.OUT_OF_RANGE:
        return (
            CompactedError(text)
            if "compacted" in text
            else ValueError(f"the revision is yet to come: {text}")
        )
    if code is StatusCode.NOT_FOUND and "lease" in text:
        return LeaseNotFoundError(text)
    if code is StatusCode.RESOURCE_EXHAUSTED:
        if "space exceeded" in text:
            return StoreError(f"etcd has no space left (its alarm NOSPACE): {text}")
        if "larger than max" in text:
            return TooLargeError(text)
        return None
    if code in {StatusCode.INVALID_ARGUMENT, StatusCode.PERMISSION_DENIED, StatusCode.UNIMPLEMENTED}:
        return StoreError(f"etcd refuses it: {text}")
    return None


def _was_not_begun(error: grpc.aio.AioRpcError) -> bool:
    """Whether the member has refused a change before it gave it to its cluster."""
    text = error.details() or ""
    if error.code() is StatusCode.UNAVAILABLE:
        return "no leader" in text
    return error.code() is StatusCode.RESOURCE_EXHAUSTED and "too many requests" in text


def in_words(error: Exception) -> str:
    """Why a member did not answer."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.details() or error.code().name.lower()
    return str(error) or "it is silent"


def _to_bytes(message: Message) -> bytes:
    return message.SerializeToString()
