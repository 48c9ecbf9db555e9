"""What is right is found right: histories made by hand, and those of a model."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.checker import History, Kind, Outcome, Partition, judge
from tests.checker.model import TRANSFORM, generate

P = Partition("events", 0)


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        self.time += 1
        return self.time


@pytest.fixture
def history() -> History:
    return History(Clock())


def drain(history: History, records: list[tuple[int, str]], end: int) -> None:
    operation = history.begin(Kind.drain, "last")
    operation.poll(P, records, end=end, high_watermark=end)
    operation.end(Outcome.ok)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.integers(1, 300))
def test_a_model_does_nothing_wrong(random: Random, steps: int) -> None:
    assert not judge(generate(random, steps), [TRANSFORM])


@pytest.mark.parametrize("seed", range(20))
def test_a_saved_history_is_judged_as_before(seed: int, tmp_path: Path) -> None:
    history = generate(Random(seed), 400)
    # Something to be found.
    history.operations = [each for each in history.operations if each.process != "producer.1"]
    path = tmp_path / "history.jsonl"
    history.save(path)
    loaded = History.load(path)
    assert loaded.operations == history.operations
    found = judge(history, [TRANSFORM])
    assert found
    assert judge(loaded, [TRANSFORM]) == found


def test_of_an_operation_that_is_written_again_the_last_line_counts(history: History, tmp_path: Path) -> None:
    operation = history.begin(Kind.send, "one")
    send = operation.send(P, "a")
    lines = [operation.as_line()]
    send.acknowledge(7)
    operation.end(Outcome.ok)
    lines.append(operation.as_line())
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join([*lines, '{"process":"one","num']))
    assert History.load(path).operations == [operation]


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"process":"one"}', '{"kind":"no","process":"a"}'])
def test_a_file_that_is_no_history_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(ValueError, match="line 1"):
        History.load(path)


def test_lines_leave_out_what_is_not_known(history: History) -> None:
    operation = history.begin(Kind.send, "one")
    operation.send(P, "a")
    assert json.loads(operation.as_line()) == {
        "process": "one",
        "number": 0,
        "kind": "send",
        "invoked": 1.0,
        "sends": [{"partition": ["events", 0], "value": "a", "invoked": 2.0}],
    }


def test_a_value_that_is_sent_twice_is_refused(history: History) -> None:
    for _ in range(2):
        history.begin(Kind.send, "one").send(P, "a")
    with pytest.raises(ValueError, match="twice"):
        judge(history)


@pytest.mark.parametrize("is_there", [True, False])
def test_an_unknown_send_may_be_there_or_not(history: History, is_there: bool) -> None:
    history.begin(Kind.send, "one").send(P, "a")
    drain(history, [(0, "a")] if is_there else [], int(is_there))
    assert not judge(history)


@pytest.mark.parametrize("is_there", [True, False])
def test_an_unknown_commit_may_have_been_one(history: History, is_there: bool) -> None:
    operation = history.begin(Kind.transaction, "one")
    operation.send(P, "a").acknowledge(0)
    operation.commit_offset("group", P, 5)
    operation.ask_to_commit()
    drain(history, [(0, "a")] if is_there else [], 2)
    read = history.begin(Kind.committed, "last")
    read.offsets.append(operation.offsets[0]._replace(offset=5 if is_there else None))
    read.end(Outcome.ok)
    assert not judge(history)


def test_an_unknown_commit_that_was_none_commits_no_offsets(history: History) -> None:
    operation = history.begin(Kind.transaction, "one")
    operation.send(P, "a").acknowledge(0)
    operation.commit_offset("group", P, 5)
    operation.ask_to_commit()
    drain(history, [], 2)
    read = history.begin(Kind.committed, "last")
    read.commit_offset("group", P, 5)
    read.end(Outcome.ok)
    assert [each.name for each in judge(history)] == ["unfounded offset"]


def test_an_unknown_commit_that_was_one_shows_everything(history: History) -> None:
    operation = history.begin(Kind.transaction, "one")
    for offset, value in enumerate("ab"):
        operation.send(P, value).acknowledge(offset)
    operation.ask_to_commit()
    drain(history, [(1, "b")], 3)
    assert [(each.name, each.offsets) for each in judge(history)] == [("unseen", (0,))]


def test_a_transaction_that_did_not_ask_is_aborted(history: History) -> None:
    history.begin(Kind.transaction, "one").send(P, "a").acknowledge(0)
    drain(history, [(0, "a")], 2)
    assert [each.name for each in judge(history)] == ["aborted read"]


def test_what_was_not_acknowledged_may_go_with_an_era(history: History) -> None:
    for value in "ab":
        history.begin(Kind.send, "one").send(P, value)
    for era, value in enumerate("ab"):
        history.note(Kind.assign, "reader", [(P, 0)])
        operation = history.begin(Kind.poll, "reader")
        operation.poll(P, [(0, value)], era=era, high_watermark=1)
        operation.end(Outcome.ok)
    assert not judge(history)
    for operation in history.operations:
        for poll in operation.polls:
            poll.era = 0
    assert [each.name for each in judge(history)] == ["inconsistent offset"]


def test_what_was_lost_with_an_era_may_be_sent_again(history: History) -> None:
    send = history.begin(Kind.send, "one").send(P, "a")
    other = history.begin(Kind.send, "two").send(P, "b")
    for era, records in enumerate(([(0, "a")], [(0, "b"), (1, "a")])):
        history.note(Kind.assign, "reader", [(P, 0)])
        operation = history.begin(Kind.poll, "reader")
        operation.poll(P, records, era=era, high_watermark=2)
        operation.end(Outcome.ok)
    send.acknowledge(1, era=1)
    other.acknowledge(0, era=1)
    assert not judge(history)
    send.era = other.era = 0
    assert {each.name for each in judge(history)} == {"duplicate", "inconsistent offset"}


@pytest.mark.parametrize(("kind", "names"), [(Kind.rebalance, []), (None, ["skipped poll"])])
def test_a_rebalance_may_move_a_position(history: History, kind: Kind | None, names: list[str]) -> None:
    operation = history.begin(Kind.send, "one")
    for offset, value in enumerate("abc"):
        operation.send(P, value).acknowledge(offset)
    history.note(Kind.subscribe, "reader")
    for offset, value in ((0, "a"), (2, "c")):
        poll = history.begin(Kind.poll, "reader")
        poll.poll(P, [(offset, value)])
        if kind is not None:
            history.note(kind, "reader")
    drain(history, list(enumerate("abc")), 3)
    assert [each.name for each in judge(history)] == names


def test_a_new_leader_may_not_know_yet_how_far_its_predecessor_came() -> None:
    history = History()
    for mark, leader_epoch in ((2, 4), (1, 5), (2, 5)):
        operation = history.begin(Kind.poll, "reader")
        operation.poll(P, [], high_watermark=mark, stable_offset=mark, leader_epoch=leader_epoch)
        operation.end(Outcome.ok)
    assert judge(history) == []
    for operation in history.operations:
        operation.polls[0].leader_epoch = 5
    assert len(judge(history)) == 2
