"""One connection without its socket: bytes to answers, requests to bytes, and the versions of both sides.

A broker answers a connection's requests in their order, so an answer with another correlation id than the
oldest request's is nonsense. Nothing that a broker says is allocated before it was held to its bound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Generic, NamedTuple, TypeVar

from ottla.client.columns.implementation import IMPLEMENTATION
from ottla.client.errors import BrokerUpgradeError, MalformedResponseError, broker_error
from ottla.protocol import wire
from ottla.protocol.errors import DecodeError, ErrorCode, KafkaError
from ottla.protocol.headers import request_header, response_header_version
from ottla.protocol.messages import APIS
from ottla.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from ottla.protocol.reading import skip_tagged_fields
from ottla.protocol.structs import Struct

Buffer = bytes | memoryview
T = TypeVar("T")
S = TypeVar("S", bound=Struct)

MAX_ELEMENTS: Final = 4_000_000
"""Of all arrays of a response that becomes messages: some 200,000 partitions in a cluster's metadata."""

_READ_BYTES: Final = 64 * 1024
_SMALLEST_FRAME: Final = 4
_LAST_CORRELATION_ID: Final = (1 << 31) - 1
_API_VERSIONS: Final = ApiVersionsRequest.__key__
_MAX_APIS: Final = 10_000
_MAX_API_VERSIONS_BYTES: Final = 1 << 20


class FrameReader:
    """Cuts a stream into frames. Bytes are received where `space` says, large frames into their own memory,
    so that these are never copied.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._small = memoryview(bytearray(_READ_BYTES))
        self._filled = 0
        self._large: memoryview | None = None
        self._large_filled = 0

    def space(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._large is not None:
            return self._large[self._large_filled :]
        return self._small[self._filled :]

    def received(self, count: int) -> list[memoryview]:
        """The frames, without their sizes, that `count` more bytes in `space` complete.

        MalformedResponseError for a size that cannot be or exceeds the bound.
        """
        if self._large is not None:
            self._large_filled += count
            if self._large_filled < len(self._large):
                return []
            frame, self._large = self._large, None
            return [frame]
        self._filled += count
        return self._cut()

    def _cut(self) -> list[memoryview]:
        view, filled, position = self._small, self._filled, 0
        frames: list[memoryview] = []
        while filled - position >= 4:
            start = position + 4
            size = int.from_bytes(view[position:start], "big", signed=True)
            if not _SMALLEST_FRAME <= size <= self._max_bytes:
                raise MalformedResponseError(
                    f"a response of {size} bytes, where {_SMALLEST_FRAME} to {self._max_bytes} may be"
                )
            if filled - start >= size:
                position = start + size
                frames.append(memoryview(bytes(view[start:position])))
                continue
            if size > len(view) - 4:
                # Pages that nothing is written to take no memory; those of a frame that is gone cost none.
                self._large = IMPLEMENTATION.allocate(size)
                self._large_filled = filled - start
                self._large[: self._large_filled] = view[start:filled]
                position = filled
            break
        if position:
            rest = bytes(view[position:filled])
            view[: len(rest)] = rest
            self._filled = len(rest)
        return frames


class Answer(NamedTuple, Generic[T]):
    """What came for the request that `token` stands for; `body` begins behind the response header."""

    token: T
    body: memoryview


class _InFlight(NamedTuple, Generic[T]):
    correlation_id: int
    header_version: int
    deadline: float
    token: T


class Pipeline(Generic[T]):
    """The requests of one connection that wait for their answers, in order. A token stands for each."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._next_id = 0
        self._in_flight: deque[_InFlight[T]] = deque()

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def sent(self) -> int:
        """How many requests went out; begins anew after some two thousand million."""
        return self._next_id

    def send(
        self,
        api_key: int,
        version: int,
        body: Sequence[Buffer],
        token: T,
        deadline: float,
        *,
        is_answered: bool = True,
    ) -> list[Buffer]:
        """What to write; the body goes as it is given, uncopied. A request that no answer comes for (Produce
        with acks=0) leaves no trace here.
        """
        correlation_id = self._next_id
        self._next_id = 0 if correlation_id == _LAST_CORRELATION_ID else correlation_id + 1
        header = request_header(api_key, version, correlation_id, self._client_id)
        size = len(header) + sum(map(len, body))
        if is_answered:
            header_version = response_header_version(api_key, version)
            self._in_flight.append(_InFlight(correlation_id, header_version, deadline, token))
        return [size.to_bytes(4, "big") + header, *body]

    def receive(self, frames: Iterable[memoryview]) -> Iterator[Answer[T]]:
        """MalformedResponseError where an answer is not to the oldest request; those before it are given."""
        for frame in frames:
            correlation_id = int.from_bytes(frame[:4], "big", signed=True)
            if not self._in_flight or self._in_flight[0].correlation_id != correlation_id:
                raise MalformedResponseError(f"an answer to request {correlation_id}, which none waits for")
            offset = 4
            if self._in_flight[0].header_version:
                try:
                    offset = skip_tagged_fields(frame, offset)
                except (DecodeError, IndexError) as error:
                    raise MalformedResponseError(f"a response header: {error}") from error
            yield Answer(self._in_flight.popleft().token, frame[offset:])

    def next_deadline(self) -> float | None:
        """When the first request will have waited too long."""
        return min((each.deadline for each in self._in_flight), default=None)

    def abandon(self) -> list[T]:
        """What still waited; nothing does from now on."""
        tokens = [each.token for each in self._in_flight]
        self._in_flight.clear()
        return tokens


def decode_body(class_: type[S], version: int, body: Buffer) -> S:
    """A response behind its header; MalformedResponseError for nonsense, and for more elements than any
    broker sends.
    """
    try:
        return wire.decode(class_, version, body, 0, MAX_ELEMENTS)
    except (DecodeError, KafkaError) as error:
        raise MalformedResponseError(str(error)) from error


class Versions:
    """Which versions of each API a broker speaks. `features` are those that its cluster has finalized, by
    name, with their levels.
    """

    def __init__(
        self, ranges: Mapping[int, tuple[int, int]], features: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._ranges = ranges
        self.features = features

    def newest(self, api_key: int, lowest: int | None = None, highest: int | None = None) -> int | None:
        """The newest that both sides speak, within what the caller can do with; None where there is none."""
        theirs = self._ranges.get(api_key)
        if theirs is None:
            return None
        ours = APIS[api_key]
        high = ours.highest if not ours.unstable or highest is not None else ours.highest - 1
        newest = min(high if highest is None else min(highest, ours.highest), theirs[1])
        oldest = max(ours.lowest if lowest is None else max(lowest, ours.lowest), theirs[0])
        return newest if newest >= oldest else None

    def need(self, api_key: int, lowest: int | None = None, highest: int | None = None) -> int:
        """As `newest`; BrokerUpgradeError where there is none."""
        version = self.newest(api_key, lowest, highest)
        if version is not None:
            return version
        name, theirs = APIS[api_key].name, self._ranges.get(api_key)
        if theirs is None:
            raise BrokerUpgradeError(f"the broker has no {name}")
        raise BrokerUpgradeError(
            f"the broker has {name} {theirs[0]} to {theirs[1]}, none of which serves here"
        )


class Negotiation:
    """The first thing that is said on a connection: which versions do you speak?

    A broker that is too old for our question says so in the oldest form and names the newest that it takes
    (KIP-511), in which it is asked again. `cluster_id` and `node_id` say whom we believe to talk to
    (ApiVersions 5).
    """

    def __init__(
        self, software_version: str, cluster_id: str | None = None, node_id: int | None = None
    ) -> None:
        self._version = APIS[_API_VERSIONS].highest
        self._asked_again = False
        self._request = ApiVersionsRequest(
            client_software_name="ottla",
            client_software_version=software_version,
            cluster_id=cluster_id if node_id is not None else None,
            node_id=-1 if node_id is None else node_id,
        )

    @property
    def version(self) -> int:
        return self._version

    def body(self) -> bytes:
        """The request at `version`."""
        return wire.encode(self._request, self._version)

    def answer(self, body: memoryview) -> Versions | None:
        """What the broker speaks; None: ask again. ClientError for a refusal and for nonsense."""
        if len(body) > _MAX_API_VERSIONS_BYTES:
            raise MalformedResponseError(f"an answer to ApiVersions of {len(body)} bytes")
        if body[:2] == ErrorCode.unsupported_version.to_bytes(2, "big") and not self._asked_again:
            self._asked_again = True
            self._version = self._supported(decode_body(ApiVersionsResponse, 0, body))
            return None
        response = decode_body(ApiVersionsResponse, self._version, body)
        if response.error_code:
            raise broker_error(response.error_code, what="ApiVersions")
        if len(response.api_keys) > _MAX_APIS:
            raise MalformedResponseError(f"a broker with {len(response.api_keys)} APIs")
        return Versions(
            {each.api_key: (each.min_version, each.max_version) for each in response.api_keys},
            {each.name: each.max_version_level for each in response.finalized_features},
        )

    def _supported(self, response: ApiVersionsResponse) -> int:
        for each in response.api_keys:
            if each.api_key == _API_VERSIONS:
                return max(0, min(each.max_version, APIS[_API_VERSIONS].highest))
        return 0
