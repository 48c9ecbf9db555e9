"""One request through the router: versions, the fallback of ApiVersions, how failures reach the client."""

from __future__ import annotations

import asyncio
import dataclasses
import struct
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.raw_client import read_response, request_body, request_layout

from ottla.broker.api import Api
from ottla.broker.apis import APIS
from ottla.broker.request import RequestContext
from ottla.broker.router import RequestLimits, Router, has_top_level_error
from ottla.config.broker import broker_config
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.headers import parse_request_header
from ottla.protocol.layout import Layout
from ottla.protocol.messages.api_versions import ApiVersion
from ottla.protocol.messages.heartbeat import HeartbeatResponse
from ottla.protocol.wire import decode_request, encode, response_class
from ottla.security.principal import ANONYMOUS

from .test_every_version import error_codes

LIMITS = RequestLimits(max_bytes=500, max_elements=1000)
SERVICES = SimpleNamespace(
    config=CurrentConfig(replace(broker_config(), ottla_request_max_partitions=10), BrokerLayers()),
    api_table=[ApiVersion(api_key=18, max_version=4)],
)
SESSION = Session(ANONYMOUS, "PLAINTEXT", "192.0.2.1")
HEARTBEAT, LIST_GROUPS = 12, 16


def router(*apis: Api[Any]) -> Router:
    return Router([api.bind(SERVICES) for api in apis], LIMITS, lambda: 1_000)


def heartbeat(handle: Any, **fields: Any) -> Api[Any]:
    return Api(key=HEARTBEAT, name="Heartbeat", versions=(1, 3), handle=handle, **fields)


def ask(routed: Router, version: int = 3, **request: Any) -> Any:
    body = request_body(HEARTBEAT, version, 7, {"group_id": "g", **request})
    return routed.dispatch(SESSION, memoryview(body))


def answer(outcome: Any, version: int = 3) -> dict[str, Any]:
    frame, pipelined = outcome
    assert not pipelined
    (size,) = struct.unpack_from(">i", frame)
    assert size == len(frame) - 4
    correlation_id, message = read_response(HEARTBEAT, version, frame[4:])
    assert correlation_id == 7
    return message


def fail_with(error: Exception) -> Any:
    def handle(_services: Any, _context: RequestContext, _message: Any) -> Any:
        raise error

    return handle


def fail_later_with(error: Exception) -> Any:
    async def handle(_services: Any, _context: RequestContext, _message: Any) -> Any:
        await asyncio.sleep(0)
        raise error

    return handle


def test_an_api_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        router(heartbeat(fail_with), heartbeat(fail_with))


def test_the_table_is_sound() -> None:
    """Keys differ, versions have schemas, and every version can be encoded from nothing."""
    router(*APIS)
    for api in APIS:
        for version in range(api.versions[0], api.versions[1] + 1):
            encode(response_class(api.key)(), version)


def test_a_handler_learns_who_asks() -> None:
    asked: list[Any] = []

    def handle(services: Any, context: RequestContext, message: Any) -> Any:
        assert services is SERVICES
        session = context.session
        asked.append((context.client_id, session.peer_host, context.api_version, context.received_ms))
        asked.append((session.principal, session.listener, message.group_id))
        return HeartbeatResponse()

    assert answer(ask(router(heartbeat(handle))))["error_code"] == 0
    assert asked == [("raw", "192.0.2.1", 3, 1_000), (ANONYMOUS, "PLAINTEXT", "g")]


def test_an_unknown_api_closes() -> None:
    with pytest.raises(MalformedRequest, match="unknown API key 12"):
        ask(router())


@pytest.mark.parametrize("version", [0, 4])
def test_a_version_that_is_not_served_closes(version: int) -> None:
    with pytest.raises(MalformedRequest, match="Heartbeat version . is not supported"):
        ask(router(heartbeat(fail_with)), version)


@pytest.mark.parametrize("version", [5, 30_000, -1])
def test_api_versions_of_a_newer_client_is_answered_with_version_0(version: int) -> None:
    api = next(api for api in APIS if api.key == 18)
    body = struct.pack(">hhih", 18, version, 7, -1) + b"\0whatever is new"
    frame, _ = router(api).dispatch(SESSION, memoryview(body))
    correlation_id, message = read_response(18, 0, frame[4:])  # type: ignore[index]
    assert correlation_id == 7
    assert message["error_code"] == ErrorCode.unsupported_version
    assert message["api_keys"] == [{"api_key": 18, "min_version": 0, "max_version": 4}]


def test_a_refusal_becomes_its_error_code() -> None:
    routed = router(heartbeat(fail_with(KafkaError(ErrorCode.illegal_generation))))
    assert answer(ask(routed))["error_code"] == ErrorCode.illegal_generation


async def test_a_refusal_later_becomes_its_error_code() -> None:
    routed = router(heartbeat(fail_later_with(KafkaError(ErrorCode.illegal_generation))))
    future, pipelined = ask(routed)
    assert answer((await future, pipelined))["error_code"] == ErrorCode.illegal_generation


def test_a_defect_becomes_unknown_server_error_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    routed = router(heartbeat(fail_with(ZeroDivisionError("secret"))))
    assert answer(ask(routed))["error_code"] == ErrorCode.unknown_server_error
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.getMessage() == "Heartbeat version 3 failed"


async def test_a_defect_later_becomes_unknown_server_error(caplog: pytest.LogCaptureFixture) -> None:
    routed = router(heartbeat(fail_later_with(ZeroDivisionError("secret"))))
    future, pipelined = ask(routed)
    assert answer((await future, pipelined))["error_code"] == ErrorCode.unknown_server_error
    assert caplog.records


def test_a_malformed_request_passes_through_to_close_the_connection() -> None:
    with pytest.raises(MalformedRequest):
        ask(router(heartbeat(fail_with(MalformedRequest("acks=0 failed")))))
    body = request_body(HEARTBEAT, 3, 7, {"group_id": "g"})[:-3]
    with pytest.raises(MalformedRequest):
        router(heartbeat(fail_with)).dispatch(SESSION, memoryview(body))


def test_frame_limits() -> None:
    routed = router(*APIS)
    assert routed.frame_limit(0, 1000) == 1000
    assert routed.frame_limit(3, 1000) == 500
    assert routed.frame_limit(3, 100) == 100
    assert routed.frame_limit(999, 1000) <= 1000
    assert routed.least_frame_limit == min(routed.frame_limit(api.key, 1 << 40) for api in APIS)


def filled(struct_: Layout) -> dict[str, Any]:
    """A message with something in every array, as an error response may have to echo it."""
    scalars = {"string": "name", "bytes": b"", "records": b"", "uuid": None, "bool": False}
    message: dict[str, Any] = {}
    for each in struct_.fields:
        value = filled(each.struct) if each.struct is not None else scalars.get(each.type, 1)
        message[each.name] = [value] if each.array else value
    return message


CLOSE_INSTEAD = {
    "Produce",
    "ListOffsets",
    "OffsetFetch",
    "FindCoordinator",
    "DescribeGroups",
    "DeleteRecords",
    "OffsetForLeaderEpoch",
    "DescribeConfigs",
    "CreateAcls",
    "DeleteAcls",
    "AlterReplicaLogDirs",
    "DescribeLogDirs",
    "DeleteGroups",
    "ElectLeaders",
    "AlterClientQuotas",
    "DescribeProducers",
    "Fetch",
}
"""At least in some version these have no error for the response as a whole. Their handlers tell errors item
by item, so that it takes a defect of the broker's to get there.
"""

VERSIONS = [
    pytest.param(api, version, id=f"{api.name}-{version}")
    for api in APIS
    for version in range(api.versions[0], api.versions[1] + 1)
]


@pytest.mark.parametrize(("api", "version"), VERSIONS)
def test_a_failure_of_any_api_is_told_in_its_response(api: Api[Any], version: int) -> None:
    """Whatever goes wrong in a handler, the client finds the error code where it looks for it."""
    body = memoryview(request_body(api.key, version, 7, filled(request_layout(api.key, version))))
    failing = dataclasses.replace(api, handle=fail_with(KafkaError(ErrorCode.kafka_storage_error, "why")))
    if api.name in CLOSE_INSTEAD and not has_top_level_error(api.key, version):
        with pytest.raises(MalformedRequest, match="failed with kafka_storage_error"):
            router(failing).dispatch(SESSION, body)
        return
    frame, _ = router(failing).dispatch(SESSION, body)
    _, read = read_response(api.key, version, frame[4:])  # type: ignore[index]
    assert ErrorCode.kafka_storage_error in set(error_codes(read)), read


OWN_ERRORS = [pytest.param(api, id=api.name) for api in APIS if api.error is not None]


@pytest.mark.parametrize("api", OWN_ERRORS)
def test_error_responses_can_be_written(api: Api[Any]) -> None:
    for version in range(api.versions[0], api.versions[1] + 1):
        body = memoryview(request_body(api.key, version, 7, filled(request_layout(api.key, version))))
        *header, position = parse_request_header(body)
        context = RequestContext(SESSION, *header, 1_000)
        if api.decode is None:
            message = decode_request(api.key, version, body, position)
        else:
            message = api.decode(SERVICES, context, body, position)
        assert api.error is not None
        response = api.error(message, ErrorCode.kafka_storage_error, "why")
        assert isinstance(response, response_class(api.key))
        encode(response, version)


def test_a_refusal_that_quotes_a_long_name_fits_its_response() -> None:
    """Old versions have no room for more than 32 KiB in a string."""
    api = next(api for api in APIS if api.name == "DescribeClientQuotas")
    components = [{"entity_type": "x" * 32_767, "match_type": 0, "match": None}]
    body = memoryview(request_body(api.key, 0, 7, {"components": components}))
    frame, _ = router(api).dispatch(SESSION, body)
    _, message = read_response(api.key, 0, frame[4:])  # type: ignore[index]
    assert message["error_code"] == ErrorCode.unsupported_version
    assert len(message["error_message"]) < 2000
