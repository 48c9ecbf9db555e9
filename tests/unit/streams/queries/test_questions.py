"""Answers within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from ottla.streams.queries import questions
from ottla.streams.queries.errors import QueryError
from ottla.streams.queries.questions import Question, encode_answers
from ottla.streams.serdes import Long, Text
from ottla.streams.state.builders import key_value_store

EVERYTHING = Question("s", "all", ())
STORE = key_value_store("s", Text(), Long())


class Endless:
    def all(self) -> Iterator[tuple[str, int]]:
        return ((f"k{number}", number) for number in count())


def test_no_more_rows_are_read_than_an_answer_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MAX_ROWS", 3)

    with pytest.raises(QueryError, match="more than 3 rows of that in one partition: ask for less"):
        EVERYTHING.ask(Endless())


def test_an_answer_has_no_more_bytes_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"k{number}", number) for number in range(5)]
    assert len(encode_answers(EVERYTHING, {0: rows, 1: rows}, STORE)[1]) == 5
    monkeypatch.setattr(questions, "_MAX_BYTES", 100)

    with pytest.raises(QueryError, match="more than 100 bytes: ask for less"):
        encode_answers(EVERYTHING, {0: rows, 1: rows}, STORE)
