import threading
from concurrent.futures import wait

import pytest

from ottla.store.worker import BriefThread


@pytest.fixture
def worker():
    with BriefThread("brief") as opened:
        yield opened


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "brief"]


def test_work_is_done_in_order_by_one_thread(worker):
    done = []
    wait([worker.submit(lambda n: done.append((n, threading.get_ident())), n) for n in range(200)])
    assert [number for number, _ in done] == list(range(200))
    assert threading.get_ident() not in {ident for _, ident in done}


def test_never_are_two_pieces_of_work_done_at_once(worker):
    going, most = [], []

    def work():
        going.append(1)
        most.append(len(going))
        going.pop()

    for _ in range(50):  # the thread ends in between, or just not yet
        worker.submit(work).result(10)
        worker.submit(work).result(10)
    assert set(most) == {1}


def test_the_thread_ends_with_the_work(worker):
    assert worker.submit(lambda: 7).result(10) == 7
    for thread in threads():
        thread.join(10)
    assert threads() == []
    assert worker.submit(lambda: 8).result(10) == 8


def test_a_failure_is_its_callers(worker):
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(10)
    assert worker.submit(lambda: 1).result(10) == 1


def test_a_shutdown_waits_for_what_was_submitted():
    worker, gate, done = BriefThread("brief"), threading.Event(), []
    worker.submit(gate.wait, 10)
    last = worker.submit(done.append, 1)
    gate.set()
    worker.shutdown()
    assert (last.done(), done, threads()) == (True, [1], [])
    with pytest.raises(RuntimeError, match="no more work"):
        worker.submit(done.append, 2)


def test_a_shutdown_may_drop_what_has_not_begun():
    worker, begun, gate, done = BriefThread("brief"), threading.Event(), threading.Event(), []
    worker.submit(lambda: (begun.set(), gate.wait(10)))
    begun.wait(10)
    cancelled = threading.Event()
    dropped = worker.submit(done.append, 1)
    dropped.add_done_callback(lambda _: cancelled.set())
    stopping = threading.Thread(target=worker.shutdown, kwargs={"cancel_futures": True})
    stopping.start()
    assert cancelled.wait(10)
    assert dropped.cancelled()
    gate.set()
    stopping.join(10)
    assert done == []
