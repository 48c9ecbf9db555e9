"""One request through the router: versions, the fallback of ApiVersions, how failures reach the client."""

from __future__ import annotations

import asyncio
import inspect
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import pytest
from tests.raw_client import read_response, request_body, request_layout

from ottla.broker import apis
from ottla.broker.api import AnyApi, Api, HandCodedApi
from ottla.broker.apis import APIS, load
from ottla.broker.quotas import ClientQuotas
from ottla.broker.request import RequestContext, Route, ServedApi
from ottla.broker.rights import Open
from ottla.broker.router import RequestLimits, Router, has_top_level_error
from ottla.clock import Clock
from ottla.config.broker import broker_config
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.headers import parse_request_header
from ottla.protocol.layout import Layout
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.structs import Struct
from ottla.protocol.wire import decode_request, encode, request_class, response_class
from ottla.security.principal import ANONYMOUS

from .test_every_version import error_codes

LIMITS = RequestLimits(max_bytes=500, max_elements=1000)
SERVICES: Any = SimpleNamespace(
    config=CurrentConfig(replace(broker_config(), ottla_request_max_partitions=10), BrokerLayers()),
    quotas=ClientQuotas(broker_config(), Clock()),
)
SESSION = Session(ANONYMOUS, "PLAINTEXT", "192.0.2.1")
HEARTBEAT = ServedApi(12, "Heartbeat", 1, 3, "", 1, carries_records=False)


def bind(served: ServedApi) -> Route:
    api = load(served)
    return api.bind(served, SERVICES, None)


def router(*served: ServedApi, bind: Callable[[ServedApi], Route] = bind) -> Router:
    return Router(served, bind, LIMITS, lambda: 1_000, lambda: 0.0)


def named(name: str) -> ServedApi:
    return next(each for each in APIS if each.name == name)


def heartbeat(handle: Any) -> Router:
    """Of nothing but Heartbeat, and a handler of ours."""
    api = Api(
        SimpleNamespace, HeartbeatRequest, HeartbeatResponse, handle, right=Open("nothing is asked for")
    )
    return router(HEARTBEAT, bind=lambda served: api.bind(served, SERVICES, None))


def ask(routed: Router, version: int = 3, **request: Any) -> Any:
    body = request_body(HEARTBEAT.key, version, 7, {"group_id": "g", **request})
    return routed.dispatch(SESSION, memoryview(body))


def answer(outcome: Any, version: int = 3) -> dict[str, Any]:
    frame, pipelined = outcome
    assert not pipelined
    (size,) = struct.unpack_from(">i", frame)
    assert size == len(frame) - 4
    correlation_id, message = read_response(HEARTBEAT.key, version, frame[4:])
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


def test_the_table_has_what_the_modules_declare() -> None:
    folder = Path(apis.__file__).parent
    modules = {f"{path.parent.name}.{path.stem}" for path in folder.glob("*/*.py")}
    modules = {each for each in modules if not each.endswith(".__init__")}
    assert {each.module for each in APIS} == modules
    declared = [api.key for each in modules for api in import_module(f"{apis.__name__}.{each}").APIS]
    assert sorted(declared) == [each.key for each in APIS]


@pytest.mark.parametrize("served", APIS, ids=lambda served: served.name)
def test_a_handler_fits_its_api(served: ServedApi) -> None:
    """Its messages are those of one API and have the versions that are served, and it says that it takes what
    it is given.
    """
    api: AnyApi = load(served)
    versions = range(served.lowest, served.highest + 1)
    if isinstance(api, HandCodedApi):  # mypy holds its two functions to one another
        assert set(versions) <= set(request_class(served.key).__versions__)
        return
    hints = get_type_hints(api.handle)
    services, context, message = (hints[name] for name in inspect.signature(api.handle).parameters)
    assert (services, context) == (api.services, RequestContext)
    assert (api.request, api.response) == (request_class(served.key), response_class(served.key))
    assert message is api.request
    assert structs(hints["return"]) == {api.response}
    assert set(versions) <= set(api.request.__versions__)
    assert set(versions) <= set(api.response.__versions__)
    for version in versions:
        encode(api.response(), version)


def structs(hint: Any) -> set[type[Struct]]:
    """The messages that a type speaks of."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return {hint}
    return set().union(*map(structs, get_args(hint)))


IDLE = """
import asyncio, sys
from ottla.broker.process import Broker, Options, load_broker_settings

async def start_and_stop():
    broker = Broker(load_broker_settings(Options(sys.argv[1], "127.0.0.1:0"), None, ()))
    await broker.start()
    print(*sys.modules)
    await broker.stop()

asyncio.run(start_and_stop())
"""


def test_an_idle_broker_has_loaded_no_more_than_it_needs(tmp_path: Path) -> None:
    """Modules and messages of some fifty APIs would be a megabyte, international names half of one."""
    started = subprocess.run([sys.executable, "-c", IDLE, tmp_path], check=True, stdout=subprocess.PIPE)
    modules = started.stdout.decode().split()
    assert "ottla.broker.apis" in modules
    for idle in (
        *("ottla.broker.apis.", "ottla.protocol.messages.", "ottla.coordination.", "encodings.idna"),
        *("ottla.broker.rights", "ottla.metadata.access", "ottla.security.authorizer", "ipaddress"),
    ):
        assert [each for each in modules if each.startswith(idle)] == []


def test_a_handler_learns_who_asks() -> None:
    asked: list[Any] = []

    def handle(services: Any, context: RequestContext, message: Any) -> Any:
        assert services is SERVICES
        session = context.session
        asked.append((context.client_id, session.peer_host, context.api_version, context.received_ms))
        asked.append((session.principal, session.listener, message.group_id))
        return HeartbeatResponse()

    assert answer(ask(heartbeat(handle)))["error_code"] == 0
    assert asked == [("raw", "192.0.2.1", 3, 1_000), (ANONYMOUS, "PLAINTEXT", "g")]


def test_an_unknown_api_closes() -> None:
    with pytest.raises(MalformedRequest, match="unknown API key 12"):
        ask(router())


@pytest.mark.parametrize("version", [0, 4])
def test_a_version_that_is_not_served_closes(version: int) -> None:
    with pytest.raises(MalformedRequest, match="Heartbeat version . is not supported"):
        ask(heartbeat(fail_with), version)


@pytest.mark.parametrize("version", [6, 30_000, -1])
def test_api_versions_of_a_newer_client_is_answered_with_version_0(version: int) -> None:
    api = named("ApiVersions")
    body = struct.pack(">hhih", 18, version, 7, -1) + b"\0whatever is new"
    frame, _ = router(api).dispatch(SESSION, memoryview(body))
    correlation_id, message = read_response(18, 0, frame[4:])  # type: ignore[index]
    assert correlation_id == 7
    assert message["error_code"] == ErrorCode.unsupported_version
    assert message["api_keys"] == [{"api_key": 18, "min_version": 0, "max_version": 5}]


def test_a_refusal_becomes_its_error_code() -> None:
    routed = heartbeat(fail_with(KafkaError(ErrorCode.illegal_generation)))
    assert answer(ask(routed))["error_code"] == ErrorCode.illegal_generation


async def test_a_refusal_later_becomes_its_error_code() -> None:
    routed = heartbeat(fail_later_with(KafkaError(ErrorCode.illegal_generation)))
    future, pipelined = ask(routed)
    assert answer((await future, pipelined))["error_code"] == ErrorCode.illegal_generation


def test_a_defect_becomes_unknown_server_error_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    routed = heartbeat(fail_with(ZeroDivisionError("secret")))
    assert answer(ask(routed))["error_code"] == ErrorCode.unknown_server_error
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.getMessage() == "Heartbeat version 3 failed"


async def test_a_defect_later_becomes_unknown_server_error(caplog: pytest.LogCaptureFixture) -> None:
    routed = heartbeat(fail_later_with(ZeroDivisionError("secret")))
    future, pipelined = ask(routed)
    assert answer((await future, pipelined))["error_code"] == ErrorCode.unknown_server_error
    assert caplog.records


def test_a_malformed_request_passes_through_to_close_the_connection() -> None:
    with pytest.raises(MalformedRequest):
        ask(heartbeat(fail_with(MalformedRequest("acks=0 failed"))))
    body = request_body(HEARTBEAT.key, 3, 7, {"group_id": "g"})[:-3]
    with pytest.raises(MalformedRequest):
        heartbeat(fail_with).dispatch(SESSION, memoryview(body))


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
    "DeleteGroups",
    "DescribeProducers",
    "Fetch",
}
"""At least in some version these have no error for the response as a whole. Their handlers tell errors item
by item, so that it takes a defect of the broker's to get there.
"""

WITHOUT_ERRORS = {("DescribeLogDirs", 1), ("DescribeLogDirs", 2)}
"""As by Kafka, clients are told of no folders there."""

VERSIONS = [
    pytest.param(api, version, id=f"{api.name}-{version}")
    for api in APIS
    for version in range(api.lowest, api.highest + 1)
    if (api.name, version) not in WITHOUT_ERRORS
]


@pytest.mark.parametrize(("api", "version"), VERSIONS)
def test_a_failure_of_any_api_is_told_in_its_response(api: ServedApi, version: int) -> None:
    """Whatever goes wrong in a handler, the client finds the error code where it looks for it."""
    body = memoryview(request_body(api.key, version, 7, filled(request_layout(api.key, version))))
    fail = fail_with(KafkaError(ErrorCode.kafka_storage_error, "why"))
    failing = router(api, bind=lambda served: replace(load(served), handle=fail).bind(served, SERVICES, None))
    if api.name in CLOSE_INSTEAD and not has_top_level_error(api.key, version):
        with pytest.raises(MalformedRequest, match="failed with kafka_storage_error"):
            failing.dispatch(SESSION, body)
        return
    frame, _ = failing.dispatch(SESSION, body)
    _, read = read_response(api.key, version, frame[4:])  # type: ignore[index]
    assert ErrorCode.kafka_storage_error in set(error_codes(read)), read


OWN_ERRORS = [each for each in APIS if getattr(load(each), "error", None) is not None]


@pytest.mark.parametrize("served", OWN_ERRORS, ids=lambda served: served.name)
def test_error_responses_can_be_written(served: ServedApi) -> None:
    api = load(served)
    assert isinstance(api, Api)
    assert api.error is not None
    for version in range(served.lowest, served.highest + 1):
        body = memoryview(request_body(api.key, version, 7, filled(request_layout(api.key, version))))
        *_, position = parse_request_header(body)
        message = decode_request(api.key, version, body, position)
        response = api.error(message, ErrorCode.kafka_storage_error, "why")
        assert isinstance(response, api.response)
        encode(response, version)


def test_a_refusal_that_quotes_a_long_name_fits_its_response() -> None:
    """Old versions have no room for more than 32 KiB in a string."""
    api = named("DescribeClientQuotas")
    components = [{"entity_type": "x" * 32_767, "match_type": 0, "match": None}]
    body = memoryview(request_body(api.key, 0, 7, {"components": components}))
    frame, _ = router(api).dispatch(SESSION, body)
    _, message = read_response(api.key, 0, frame[4:])  # type: ignore[index]
    assert message["error_code"] == ErrorCode.unsupported_version
    assert len(message["error_message"]) < 2000


def test_requests_are_counted_by_version_and_one_of_eight_is_timed() -> None:
    times = iter(range(100))
    api = Api(
        SimpleNamespace,
        HeartbeatRequest,
        HeartbeatResponse,
        lambda *_: HeartbeatResponse(throttle_time_ms=0, error_code=0),
        right=Open("nothing is asked for"),
    )
    routed = Router(
        [HEARTBEAT],
        lambda served: api.bind(served, SERVICES, None),
        LIMITS,
        lambda: 1_000,
        lambda: float(next(times)),
    )
    for _ in range(9):
        ask(routed, 3)
    ask(routed, 1)
    (route,) = routed.routes
    assert route.requests == [1, 0, 9]
    assert (route.total_ms.times, route.total_ms.total) == (3, 3_000)
    assert route.local_ms.times == 3


async def test_what_waits_is_timed_until_its_answer() -> None:
    now_s = 0.0

    async def handle(*_: Any) -> HeartbeatResponse:
        nonlocal now_s
        await asyncio.sleep(0)
        now_s = 5.0
        return HeartbeatResponse(throttle_time_ms=0, error_code=0)

    api = Api(
        SimpleNamespace, HeartbeatRequest, HeartbeatResponse, handle, right=Open("nothing is asked for")
    )
    routed = Router(
        [HEARTBEAT],
        lambda served: api.bind(served, SERVICES, None),
        LIMITS,
        lambda: 1_000,
        lambda: now_s,
    )
    outcome, _ = ask(routed)
    await outcome
    await asyncio.sleep(0)
    (route,) = routed.routes
    assert (route.local_ms.total, route.total_ms.total) == (0.0, 5_000)
