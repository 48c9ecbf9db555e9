"""Judges what clients did and saw: the anomalies of Jepsen's Kafka workload, and of exactly once.

Clients write a `History` of operations; `judge` says what in it must not be:

    history = History(now=time.monotonic)
    ...
    begun = history.begin(Kind.transaction, "worker 1, life 3", transactional_id="worker 1")
    sent = begun.send(Partition("out", 0), "a value that is used once")
    sent.acknowledge(offset=17)
    begun.commit_offset("group", Partition("in", 0), 5)
    begun.ask_to_commit()             # before EndTxn goes out: from now on it may be committed
    begun.end(Outcome.ok)
    ...
    history.save(path)
    assert not judge(history), path

    python -m tests.checker FILE...   judges saved histories again

What the words mean:

- An operation without an answer is *unknown*, never failed; so is one that never ended. It may have taken
  effect, or take effect still. A transaction that never asked to be committed is aborted.
- A *process* is one life of one client and does one thing after another. After a crash it is another process.
- A value is sent to a partition once; a second attempt has another value.
- A process that moves its position says so: `assign` (with positions where it seeks), or `subscribe`, and
  `rebalance` whenever partitions come and go. Otherwise its polls go on where the last one ended.
- A *drain* is what is there in the end: read_committed from start to end, when the faults are over.
- An *era* ends where a log may lose what is not on the disk, which is a power loss of one without replicas.
  Kafka's brokers show consumers what is not on the disk yet; what was not acknowledged, and read in an
  earlier era, may be gone.

| file | what it finds |
| --- | --- |
| `history.py` | nothing: the operations, and their JSON lines |
| `facts.py` | what was committed, and which value is at which offset; doubled and inconsistent offsets |
| `reading.py` | reads: aborted, precommitted, own, skipped, going back; lost and unseen values; watermarks |
| `writing.py` | sends out of order, zombies that were not fenced, cycles of reads and writes (G1c) |
| `offsets.py` | commits of offsets that were lost or should never have been; output that is not f(input) |
| `model.py` | nothing: valid histories at random, for the tests |
"""

from tests.checker.facts import Anomaly
from tests.checker.history import History, Kind, Operation, Outcome, Partition, Poll, Send
from tests.checker.judge import judge
from tests.checker.offsets import Transform

__all__ = [
    "Anomaly",
    "History",
    "Kind",
    "Operation",
    "Outcome",
    "Partition",
    "Poll",
    "Send",
    "Transform",
    "judge",
]
