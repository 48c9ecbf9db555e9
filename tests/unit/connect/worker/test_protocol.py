"""What members of a Connect group tell each other: Kafka's bytes, and nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.connect.worker.ids import ConnectorTaskId, Work
from ottla.connect.worker.protocol import (
    Assignment,
    Protocol,
    ProtocolError,
    WorkerState,
    decode_assignment,
    decode_state,
    encode_assignment,
    encode_state,
)

WORK = Work(("c",), (ConnectorTaskId("c", 0), ConnectorTaskId("d", 1)))
ASSIGNMENT = Assignment(0, "l", "u", 3, WORK, Work((), (ConnectorTaskId("e", 2),)), 9)
STATE = bytes.fromhex("00000001750000000000000003")
EAGER = bytes.fromhex(
    "0000000000016c0001750000000000000003"
    "0000000200016300000002ffffffff000000000001640000000100000001"
)  # fmt: skip
SESSIONED = bytes.fromhex(
    "0002000000016c0001750000000000000003"
    "0000000200016300000002ffffffff000000000001640000000100000001"
    "00000001000165000000010000000200000009"
)  # fmt: skip


def test_bytes() -> None:
    assert encode_state(WorkerState("u", 3), Protocol.EAGER) == STATE
    assert encode_assignment(ASSIGNMENT, Protocol.EAGER) == EAGER
    assert encode_assignment(ASSIGNMENT, Protocol.SESSIONED) == SESSIONED
    assert encode_state(WorkerState("u", 3), Protocol.COMPATIBLE) == b"\x00\x01" + STATE[2:] + b"\xff" * 4
    held = encode_state(WorkerState("u", 3, ASSIGNMENT), Protocol.SESSIONED)
    assert held == b"\x00\x02" + STATE[2:] + len(SESSIONED).to_bytes(4, "big") + SESSIONED


@pytest.mark.parametrize("protocol", Protocol)
def test_there_and_back(protocol: Protocol) -> None:
    wanted = ASSIGNMENT if protocol is not Protocol.EAGER else ASSIGNMENT._replace(revoked=Work(), delay_ms=0)
    assert decode_assignment(encode_assignment(ASSIGNMENT, protocol)) == wanted
    state = WorkerState("http://w:8083/", 7, None if protocol is Protocol.EAGER else ASSIGNMENT)
    assert decode_state(encode_state(state, protocol)) == state
    assert Protocol.of_label(protocol.label) is protocol


@given(st.binary(max_size=60))
def test_rubbish_is_refused(data: bytes) -> None:
    for decode in (decode_state, decode_assignment):
        try:
            decode(data)
        except ProtocolError:
            pass


def test_cut_bytes_are_refused() -> None:
    for end in range(len(EAGER)):
        if end != 18:  # older members leave the rest out
            with pytest.raises(ProtocolError):
                decode_assignment(EAGER[:end])
    with pytest.raises(ProtocolError):
        Protocol.of_label("x")
