"""When punctuations are called."""

from __future__ import annotations

from ottla.streams.task.punctuation import PunctuationQueue, Schedule


def collected(queue: PunctuationQueue[str], *times: int) -> list[tuple[str, int]]:
    calls: list[tuple[str, int]] = []
    for time in times:
        queue.punctuate(time, lambda schedule, now: calls.append((schedule.node, now)))
    return calls


def test_each_interval_once() -> None:
    queue: PunctuationQueue[str] = PunctuationQueue()
    queue.add(Schedule("a", 0, 10, print))
    assert collected(queue, 0, 5, 10, 12, 20) == [("a", 0), ("a", 10), ("a", 20)]


def test_what_was_missed_is_called_once() -> None:
    queue: PunctuationQueue[str] = PunctuationQueue()
    queue.add(Schedule("a", 0, 10, print))
    assert collected(queue, 35, 39, 40) == [("a", 35), ("a", 40)]
    assert queue.next_time() == 50


def test_a_cancelled_one_is_not_called() -> None:
    queue: PunctuationQueue[str] = PunctuationQueue()
    first = queue.add(Schedule("a", 0, 10, print))
    queue.add(Schedule("b", 5, 10, print))
    assert collected(queue, 5) == [("a", 5), ("b", 5)]
    first.cancel()
    assert collected(queue, 30) == [("b", 30)]


def test_one_that_cancels_itself() -> None:
    queue: PunctuationQueue[str] = PunctuationQueue()
    schedule = queue.add(Schedule("a", 0, 10, print))
    calls: list[int] = []

    def call(_: Schedule[str], now: int) -> None:
        calls.append(now)
        schedule.cancel()

    assert queue.punctuate(3, call)
    assert not queue.punctuate(30, call)
    assert calls == [3]
