"""What slow readers may hold together."""

from __future__ import annotations

from ottla.network.memory import UnsentOutput


class Clogged:
    def __init__(self, unsent_bytes: int) -> None:
        self.unsent_bytes = unsent_bytes


def test_it_is_full_when_clogged_connections_hold_the_limit_together() -> None:
    unsent = UnsentOutput(100)
    first, second = Clogged(60), Clogged(39)
    assert not unsent.is_full
    unsent.add(first)
    unsent.add(second)
    assert not unsent.is_full
    second.unsent_bytes = 40
    assert unsent.is_full


def test_there_is_room_again_when_a_reader_goes_on_or_away() -> None:
    unsent = UnsentOutput(100)
    slow, gone = Clogged(90), Clogged(90)
    unsent.add(slow)
    unsent.add(gone)
    unsent.discard(gone)
    assert not unsent.is_full
    unsent.add(gone)
    slow.unsent_bytes = 5
    assert not unsent.is_full
    unsent.discard(gone)
    unsent.discard(gone)
    assert not unsent.is_full
