"""Frames, answers in order, and which versions are spoken."""

from __future__ import annotations

import pytest

from ottla.client.core.connection import FrameReader, Negotiation, Pipeline, Versions, decode_body
from ottla.client.errors import BrokerError, BrokerUpgradeError, MalformedResponseError
from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode
from ottla.protocol.headers import parse_request_header
from ottla.protocol.messages import APIS
from ottla.protocol.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from ottla.protocol.messages.metadata import MetadataResponse


def feed(reader: FrameReader, data: bytes, step: int) -> list[bytes]:
    frames: list[bytes] = []
    while data:
        space = reader.space()
        count = min(step, len(space), len(data))
        space[:count] = data[:count]
        data = data[count:]
        frames += map(bytes, reader.received(count))
    return frames


@pytest.mark.parametrize("step", [1, 7, 65536, 1 << 20])
def test_frames_are_cut_wherever_the_stream_is(step: int) -> None:
    sizes = [4, 5, 65_532, 65_533, 65_536, 4, 200_000, 6] if step > 1 else [4, 5, 70_000, 6]
    frames = [bytes([place]) * size for place, size in enumerate(sizes)]
    stream = b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
    assert feed(FrameReader(1 << 20), stream, step) == frames


@pytest.mark.parametrize("size", [-1, 0, 3, 1001, (1 << 31) - 1])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    reader = FrameReader(1000)
    with pytest.raises(MalformedResponseError, match=str(size)):
        feed(reader, size.to_bytes(4, "big", signed=True), 4)


def answer(correlation_id: int, body: bytes) -> memoryview:
    return memoryview(correlation_id.to_bytes(4, "big") + body)


def test_answers_go_to_the_requests_in_order() -> None:
    pipeline: Pipeline[str] = Pipeline("me")
    first = pipeline.send(3, 12, [b"one"], "first", 5.0)
    pipeline.send(3, 8, [b"two"], "second", 3.0)
    pipeline.send(0, 13, [b"three"], "unanswered", 1.0, is_answered=False)
    assert parse_request_header(b"".join(first)[4:])[:4] == (3, 12, 0, "me")
    assert int.from_bytes(first[0][:4], "big") == len(b"".join(first)) - 4
    assert (len(pipeline), pipeline.next_deadline()) == (2, 3.0)

    # The first has a flexible header, here with a tagged field that nobody knows.
    answers = list(pipeline.receive([answer(0, b"\x01\x07\x02xybody"), answer(1, b"body")]))
    assert [(each.token, bytes(each.body)) for each in answers] == [("first", b"body"), ("second", b"body")]
    assert pipeline.next_deadline() is None


def test_an_answer_to_something_else_is_refused() -> None:
    pipeline: Pipeline[str] = Pipeline("me")
    with pytest.raises(MalformedResponseError):
        list(pipeline.receive([answer(0, b"")]))
    pipeline.send(3, 8, [], "first", 5.0)
    with pytest.raises(MalformedResponseError):
        list(pipeline.receive([answer(1, b"")]))
    assert pipeline.abandon() == ["first"]
    assert not len(pipeline)


def test_answers_before_nonsense_are_given() -> None:
    pipeline: Pipeline[str] = Pipeline("me")
    pipeline.send(3, 8, [], "first", 5.0)
    pipeline.send(3, 8, [], "second", 5.0)
    answers = pipeline.receive([answer(0, b"a"), answer(7, b"b")])
    assert next(answers).token == "first"
    with pytest.raises(MalformedResponseError):
        next(answers)
    assert pipeline.abandon() == ["second"]


def test_a_response_header_that_ends_early_is_refused() -> None:
    pipeline: Pipeline[str] = Pipeline("me")
    pipeline.send(3, 12, [], "first", 5.0)
    with pytest.raises(MalformedResponseError):
        list(pipeline.receive([answer(0, b"")]))


def test_the_newest_common_version_is_spoken() -> None:
    highest = APIS[3].highest
    versions = Versions({3: (2, 99), 1: (0, 2), 22: (0, 6)})
    assert versions.newest(3) == highest
    assert versions.newest(3, highest=7) == 7
    assert versions.newest(3, highest=1) is None
    assert versions.newest(3, lowest=highest + 1) is None
    assert versions.newest(1) is None
    assert versions.newest(22) == 5, "6 is not stable"
    with pytest.raises(BrokerUpgradeError, match="Fetch 0 to 2"):
        versions.need(1)
    with pytest.raises(BrokerUpgradeError, match="no ListGroups"):
        versions.need(16)


def encoded(response: ApiVersionsResponse, version: int) -> memoryview:
    return memoryview(wire.encode(response, version))


def test_a_broker_of_our_age_is_asked_once() -> None:
    negotiation = Negotiation("1.0", "cluster", 7)
    assert negotiation.version == APIS[18].highest
    request = wire.decode(ApiVersionsRequest, negotiation.version, negotiation.body())
    assert (request.cluster_id, request.node_id, request.client_software_name) == ("cluster", 7, "ottla")
    rows = [ApiVersion(api_key=3, min_version=0, max_version=9)]
    versions = negotiation.answer(encoded(ApiVersionsResponse(api_keys=rows), negotiation.version))
    assert versions is not None
    assert versions.newest(3) == 9


def test_an_older_broker_is_asked_again_in_what_it_names() -> None:
    negotiation = Negotiation("1.0")
    rows = [ApiVersion(api_key=18, min_version=0, max_version=3)]
    refusal = ApiVersionsResponse(error_code=ErrorCode.unsupported_version, api_keys=rows)
    assert negotiation.answer(encoded(refusal, 0)) is None
    assert negotiation.version == 3
    rows.append(ApiVersion(api_key=3, min_version=0, max_version=9))
    assert negotiation.answer(encoded(ApiVersionsResponse(api_keys=rows), 3)) is not None


def test_the_oldest_broker_names_nothing() -> None:
    negotiation = Negotiation("1.0")
    assert negotiation.answer(encoded(ApiVersionsResponse(error_code=35), 0)) is None
    assert negotiation.version == 0


def test_a_broker_that_goes_on_refusing_is_given_up() -> None:
    negotiation = Negotiation("1.0")
    refusal = encoded(ApiVersionsResponse(error_code=35), 0)
    negotiation.answer(refusal)
    with pytest.raises(BrokerError, match="unsupported_version"):
        negotiation.answer(refusal)


def test_nonsense_is_refused() -> None:
    with pytest.raises(MalformedResponseError):
        decode_body(MetadataResponse, 9, b"\0" * 5)
    with pytest.raises(MalformedResponseError):
        Negotiation("1.0").answer(memoryview(b"\0\0\xff\xff\xff\xff\x7f"))
