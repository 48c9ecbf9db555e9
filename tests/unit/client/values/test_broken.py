"""Broken values raise, are skipped, go to a column, a function or a topic, by choice."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ottla.client.columns.columns import Columns, Record
from ottla.client.values.broken import settle
from ottla.client.values.interface import BrokenValue, BrokenValueError, DeadLetterTopic, Decoded
from ottla.client.values.json import JsonValues

COLUMNS = Columns.of(
    Record("orders", 3, 40 + row, -1, 0, key, value)
    for row, (key, value) in enumerate([(b"?", b"1"), (None, b"x"), (b"2", None), (b"2", b"y"), (b"2", b"3")])
)


def decoded() -> Decoded:
    return JsonValues(pa.int64()).decoder().decode(COLUMNS.value)


def kept(keep: pa.Array | None) -> list[int]:
    assert keep is not None
    return decoded().array.filter(keep).to_pylist()


def test_raising_names_the_first_and_has_all() -> None:
    with pytest.raises(BrokenValueError, match=r"the value of orders-3 at offset 41: .*1 more") as caught:
        settle("raise", decoded(), COLUMNS, "orders")
    assert [each.offset for each in caught.value.broken] == [41, 43]
    keys = JsonValues(pa.int64()).decoder().decode(COLUMNS.key)
    with pytest.raises(
        BrokenValueError, match=r"the key of orders-3 at offset 40: [^(]*\(byte 0\)$"
    ) as caught:
        settle("raise", keys, COLUMNS, "orders", "key")
    assert caught.value.broken[0].value == b"?"


def test_skipping_keeps_tombstones() -> None:
    assert kept(settle("skip", decoded(), COLUMNS, "orders").keep) == [1, None, 3]


def test_a_column_has_the_reasons() -> None:
    settled = settle("column", decoded(), COLUMNS, "orders")
    assert settled.keep is None
    assert settled.reasons is not None
    assert [reason is not None for reason in settled.reasons.to_pylist()] == [False, True, False, True, False]
    sound = settle("column", Decoded(pa.nulls(5)), COLUMNS, "orders")
    assert sound.reasons is not None
    assert sound.reasons.to_pylist() == [None] * 5


def test_a_function_is_given_what_is_broken() -> None:
    given: list[BrokenValue] = []
    assert kept(settle(given.extend, decoded(), COLUMNS, "orders").keep) == [1, None, 3]
    assert [(each.partition, each.offset, each.value) for each in given] == [(3, 41, b"x"), (3, 43, b"y")]


def test_dead_letters_are_handed_on() -> None:
    settled = settle(DeadLetterTopic("dead"), decoded(), COLUMNS, "orders")
    assert kept(settled.keep) == [1, None, 3]
    assert [each.value for each in settled.dead_letters] == [b"x", b"y"]


@pytest.mark.parametrize("errors", ["raise", "skip", DeadLetterTopic("dead")])
def test_sound_batches_stay_whole(errors: object) -> None:
    settled = settle(errors, Decoded(pa.nulls(5)), COLUMNS, "orders")  # type: ignore[arg-type]
    assert settled.keep is None
    assert not settled.dead_letters
