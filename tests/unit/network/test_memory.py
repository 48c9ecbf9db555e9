"""Memory for requests that come in: bounded over all connections, and never all waiting for each other."""

from __future__ import annotations

import random

from ottla.network.memory import RequestMemory

from .transport import Wire, request

KIB, MIB = 1024, 1 << 20


class Asker:
    def __init__(self) -> None:
        self.granted = 0

    def memory_granted(self) -> None:
        self.granted += 1


def test_what_does_not_fit_waits_and_is_granted_in_order() -> None:
    memory = RequestMemory(100)
    overdrawing, first, second = Asker(), Asker(), Asker()
    memory.take_first(90)
    assert memory.take(overdrawing, 50)
    assert not memory.take(first, 30)
    assert not memory.take(second, 30)
    assert memory.used_bytes == 140
    memory.give_back(overdrawing, 140)
    assert (first.granted, second.granted) == (1, 1)
    assert memory.used_bytes == 60


def test_the_budget_is_used_to_the_last_byte_before_anybody_overdraws() -> None:
    memory = RequestMemory(100)
    first, overdrawing, late = Asker(), Asker(), Asker()
    memory.take_first(40)
    assert memory.take(first, 60)
    assert memory.take(overdrawing, 1), "nobody overdrew so far"
    assert not memory.take(late, 1)
    memory.give_back(first, 100)
    assert late.granted == 1
    assert memory.used_bytes == 2


def test_memory_is_plentiful_below_half_of_the_budget() -> None:
    memory = RequestMemory(100)
    memory.take_first(49)
    assert memory.is_plentiful
    memory.take_first(1)
    assert not memory.is_plentiful


def test_one_at_a_time_overdraws() -> None:
    memory = RequestMemory(100)
    a, b, c = Asker(), Asker(), Asker()
    memory.take_first(100)
    assert memory.take(a, 10)
    assert memory.take(a, 1000), "until its frame is whole"
    assert not memory.take(b, 10)
    assert not memory.take(c, 10)
    memory.give_back(a, 1010)
    assert (b.granted, c.granted) == (1, 0)
    memory.give_back(b, 10)
    assert c.granted == 1


def test_who_goes_away_waits_no_more() -> None:
    memory = RequestMemory(100)
    a, b, c = Asker(), Asker(), Asker()
    memory.take_first(100)
    assert memory.take(a, 1)
    assert not memory.take(b, 1)
    assert not memory.take(c, 1)
    memory.give_back(b, 0)
    memory.give_back(a, 1)
    assert (b.granted, c.granted) == (0, 1)
    memory.give_back(c, 1)
    assert memory.used_bytes == 100


def feed(wires: list[Wire], frame: bytes, chance: random.Random) -> int:
    """Send `frame` to every connection, a piece here and a piece there; gives the most memory used."""
    sent = dict.fromkeys(wires, 0)
    most = 0
    while remaining := [wire for wire in wires if sent[wire] < len(frame)]:
        able = [wire for wire in remaining if wire.transport.reading]
        assert able, "all wait for each other"
        wire = chance.choice(able)
        piece = frame[sent[wire] : sent[wire] + chance.randrange(1, 100 * KIB)]
        sent[wire] += wire.receive(piece)
        most = max(most, wire.memory.used_bytes)
    return most


def test_many_large_frames_at_once_stay_within_the_bound_and_all_come_in() -> None:
    for seed in range(5):
        memory = RequestMemory(MIB)
        wires = [Wire(memory=memory) for _ in range(30)]
        frame = request(bytes(700 * KIB))
        most = feed(wires, frame, random.Random(seed))
        assert MIB < most <= MIB + len(frame) + 30 * 64 * KIB
        assert all(wire.written == [frame[12:]] for wire in wires)
        assert memory.used_bytes == 0


def test_lost_connections_free_the_others() -> None:
    memory = RequestMemory(MIB)
    wires = [Wire(memory=memory) for _ in range(20)]
    frame = request(bytes(900 * KIB))
    for wire in wires:
        wire.receive(frame[: 300 * KIB])
    assert sum(wire.transport.reading for wire in wires) < 20
    waiting = [wire for wire in wires if not wire.transport.reading]
    assert not any(wire.connection.half_received for wire in waiting), "the broker makes them wait"
    for wire in wires[:-1]:
        wire.lose()
    wires[-1].receive(frame)
    assert wires[-1].transport.reading
    wires[-1].lose()
    assert memory.used_bytes == 0


def test_small_requests_come_in_while_memory_is_short() -> None:
    memory = RequestMemory(MIB)
    wires = [Wire(memory=memory) for _ in range(20)]
    for wire in wires:
        wire.receive(request(bytes(900 * KIB))[: 300 * KIB])
    small = Wire(memory=memory)
    frame = request(bytes(60 * KIB))
    small.receive(frame[:5])
    small.receive(frame[5:100])
    small.receive(frame[100:])
    assert small.written == [frame[12:]]


async def test_an_answer_does_not_resume_who_waits_for_memory() -> None:
    memory = RequestMemory(MIB)
    hogs = [Wire(memory=memory) for _ in range(20)]
    for hog in hogs:
        hog.receive(request(bytes(900 * KIB))[: 300 * KIB])
    wire = Wire(memory=memory, receive_buffer_bytes=256 * KIB)
    wire.connection.pause_writing()
    wire.receive(request(b"small") + request(bytes(900 * KIB))[: 200 * KIB])
    assert not wire.transport.reading
    wire.connection.resume_writing()
    assert wire.written == [b"small"]
    assert not wire.transport.reading
    for hog in hogs:
        hog.lose()
    assert wire.transport.reading
