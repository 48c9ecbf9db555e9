"""Every API at every version with requests that were good until something changed in them.

Whatever comes of it, it is an answer that kio can read, without UNKNOWN_SERVER_ERROR, or a closed connection;
and the log has no traceback. Requests are about a topic and a group that may come to harm; others may not.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.raw_client import error_codes, frame, read_response, request_body, request_layout
from tests.sample_requests import REQUESTS, Case

from ottla.broker.apis import APIS
from ottla.broker.request import ServedApi
from ottla.protocol.errors import ErrorCode
from ottla.protocol.layout import FieldLayout, Layout

from .broker_process import BrokerProcess
from .clients import Clients
from .hostile import SMALL_LIMITS, Target, call, receive_exactly

SHORT_EXAMPLES, FULL_EXAMPLES = 25, 2000
PREY = "prey"
CORRELATION_ID = 1
GROUP_BYTES = 20_000
"""What one more group may cost: some last as long as their members' sessions."""

INTEGERS = {"int8": 8, "int16": 16, "uint16": 16, "int32": 32, "int64": 64}
TEXTS = ["", PREY, "1", "consumer", "range", ".", "\0", "é" * 100, "x" * 300, "retention.ms", "{}", "-1"]
PIECES = [
    b"\xff\xff\xff\xff\x0f",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff",
    b"\x7f\xff",
    b"\x80\x00",
    b"\x00",
    b"\x01",
    b"\xc3\x28",
    b"\xff" * 11,
]

settings.register_profile(
    "hostile",
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@pytest.fixture(scope="module")
def module_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    # No member waits long, and none is asked to.
    quick = {
        "group.max.session.timeout.ms": "6000",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "ottla.open.files.max": "128",
    }
    broker = BrokerProcess(tmp_path_factory.mktemp("hostile"), {**SMALL_LIMITS, **quick})
    broker.start()
    made = Target(broker, Clients(broker.bootstrap))
    yield made
    made.assert_real_clients_work()
    assert broker.stop() == 0, broker.stderr


def make_prey(target: Target) -> uuid.UUID:
    """The id of the topic that requests name; made again where an attack deleted it."""
    wanted = {"name": PREY, "num_partitions": 2, "replication_factor": 1}
    with target.connect() as connection:
        call(connection, 19, 7, {"topics": [wanted], "timeout_ms": 1000})
        topic = call(connection, 3, 12, {"topics": [{"name": PREY}]})["topics"][0]
    assert topic["error_code"] == ErrorCode.none
    return uuid.UUID(str(topic["topic_id"]))


def clean_up(target: Target) -> None:
    """Delete the topics that came of it: thousands of partitions may, and they cost memory."""
    with target.connect(timeout_s=60) as connection:
        topics = call(connection, 3, 12, {"topics": None})["topics"]
        names = [each["name"] for each in topics if each["name"] not in ("victim", "__consumer_offsets")]
        call(connection, 20, 5, {"topic_names": names, "timeout_ms": 60_000})


def odd_value(each: FieldLayout) -> st.SearchStrategy[Any]:
    """A value for a scalar field, of those that handlers may not have thought of."""
    if bits := INTEGERS.get(each.type):
        low, high = (0, (1 << bits) - 1) if each.type == "uint16" else (-(1 << bits - 1), (1 << bits - 1) - 1)
        edges = st.sampled_from([low, low + 1, 0, 1, high - 1, high] + ([-1, -2, -3] if low else []))
        values: st.SearchStrategy[Any] = edges | st.integers(low, high)
    elif each.type == "string":
        values = st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8"), max_size=10)
    elif each.type in ("bytes", "records"):
        values = st.binary(max_size=100)
    elif each.type == "uuid":
        values = st.none() | st.uuids()
    elif each.type == "bool":
        values = st.booleans()
    else:
        values = st.floats()
    return st.none() | values if each.nullable and not each.array else values


def odd_message(struct_: Layout) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({each.name: odd_field(each) for each in struct_.fields})


def odd_field(each: FieldLayout) -> st.SearchStrategy[Any]:
    one = odd_message(each.struct) if each.struct is not None else odd_value(each)
    if each.array:
        one = st.lists(one, max_size=3) | st.tuples(one, st.integers(2, 20)).map(lambda it: [it[0]] * it[1])
    if each.tag is not None and each.struct is not None:
        return one
    return st.none() | one if each.nullable else one


def changed(sample: Mapping[str, Any], struct_: Layout, data: st.DataObject) -> dict[str, Any]:
    """The sample, with some of its fields replaced."""
    message = dict(sample)
    for each in struct_.fields:
        if data.draw(st.integers(0, 5)) == 0:
            message[each.name] = data.draw(odd_field(each))
        elif each.struct is not None and message.get(each.name):
            nested = message[each.name]
            message[each.name] = (
                [changed(element, each.struct, data) for element in nested]
                if each.array
                else changed(nested, each.struct, data)
            )
    return message


def mutated(whole: bytes, data: st.DataObject) -> bytes:
    """Bytes replaced, put in or taken out behind the API's key and version."""
    body = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(4, len(body)))
        piece = data.draw(st.sampled_from(PIECES) | st.binary(max_size=6))
        replaced = data.draw(st.sampled_from([0, len(piece), 3]))
        body[position : position + replaced] = piece
    return bytes(body)


def send(target: Target, api: ServedApi, version: int, body: bytes) -> bool:
    """Send one request and judge the answer, if there is one soon: a member may have to wait for others."""
    with target.connect(timeout_s=0.1) as connection:
        connection.sendall(frame(body))
        try:
            (size,) = struct.unpack(">i", receive_exactly(connection, 4))
            answer = receive_exactly(connection, size)
        except (ConnectionError, TimeoutError):
            return False
    correlation_id, response = read_response(api.key, version, answer)
    assert correlation_id == int.from_bytes(body[4:8], "big", signed=True)
    assert ErrorCode.unknown_server_error not in set(error_codes(response)), response
    return True


@pytest.fixture
def examples(pytestconfig: pytest.Config) -> int:
    return FULL_EXAMPLES if pytestconfig.getoption("--full", default=False) else SHORT_EXAMPLES


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_fuzz(module_target: Target, examples: int, api: ServedApi) -> None:
    prey = make_prey(module_target)
    answered = 0

    @settings(settings.get_profile("hostile"), max_examples=examples)
    @given(data=st.data())
    def attack(data: st.DataObject) -> None:
        nonlocal answered
        version = data.draw(st.integers(api.lowest, api.highest))
        topic_id = make_prey(module_target) if api.name == "DeleteTopics" else prey
        good = REQUESTS[api.name](Case(version, PREY, topic_id, "group"))
        struct_ = request_layout(api.key, version)
        match data.draw(st.sampled_from(["bytes", "fields", "anything"])):
            case "bytes":
                body = mutated(request_body(api.key, version, CORRELATION_ID, good), data)
            case "fields":
                body = request_body(api.key, version, CORRELATION_ID, changed(good, struct_, data))
            case _:
                body = request_body(api.key, version, CORRELATION_ID, data.draw(odd_message(struct_)))
        module_target.new_log()
        answered += send(module_target, api, version, body)
        log = module_target.new_log()
        assert "Traceback" not in log, log

    attack()
    assert answered, "some are to get past the decoder"
    clean_up(module_target)
    module_target.assert_unharmed(grown_by_bytes=(64 << 20) + GROUP_BYTES * examples)
