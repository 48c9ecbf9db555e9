"""A producer of transactions that keeps a broker busy while it is killed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from enum import Enum

from confluent_kafka import KafkaException, Producer

from .clients import Clients
from .load import KEYS, Load, Verdict, number_of

_PATIENCE_S = 300.0
"""A broker that is killed all the time is seldom up for long enough."""
_TIMEOUT_S = 2.0
_TRANSACTIONS_PER_S = 40


class Outcome(Enum):
    """What a transaction's producer knows of it."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class TransactionalWriter(Load):
    """Numbers its transactions, and writes each to all partitions: `<name>:<number>:<partition>:...`, with
    `records` of them.

    A reader sees all of a transaction that was committed, and nothing of one that was not.
    """

    records = 3

    def __init__(self, clients: Clients, name: str, topic: str, partitions: int) -> None:
        super().__init__(clients, name)
        self.topic = topic
        self.partitions = partitions
        self.outcomes: list[Outcome] = []
        self._producer = self._begin_again()

    def _begin_again(self) -> Producer:
        """A new producer of the id; the one before is fenced, and its transaction aborted."""
        producer = self.clients.producer(
            transactional_id=self.name, transaction_timeout_ms=600_000, message_timeout_ms=600_000
        )
        self._insist(producer.init_transactions)
        return producer

    def turn(self) -> None:
        time.sleep(1 / _TRANSACTIONS_PER_S)
        number = len(self.outcomes)
        self.outcomes.append(Outcome.UNKNOWN)
        wants_commit = random.random() < 0.8
        producer = self._producer
        producer.begin_transaction()
        for partition in range(self.partitions):
            for each in range(self.records):
                value = b"%s:%d:%d " % (self.name.encode(), number, each) + b"x" * random.randrange(100)
                producer.produce(self.topic, value, self.key(number), partition=partition)
        try:
            if wants_commit:
                self._insist(producer.commit_transaction)
                self.outcomes[number] = Outcome.COMMITTED
            else:
                self._flush(producer)
                self._insist(producer.abort_transaction)
                self.outcomes[number] = Outcome.ABORTED
        except KafkaException as failure:
            if failure.args[0].txn_requires_abort():
                self._insist(producer.abort_transaction)
                self.outcomes[number] = Outcome.ABORTED
            else:
                self._producer = self._begin_again()

    @staticmethod
    def _flush(producer: Producer) -> None:
        """What librdkafka takes back at an abort may be in the log already, and the next transaction's
        records get the same sequence numbers (2.16): they would be taken for repeated ones.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while producer.flush(_TIMEOUT_S):
            assert time.monotonic() < deadline, "records are never delivered"

    def key(self, number: int) -> bytes | None:
        return None

    @staticmethod
    def _insist(call: Callable[[float], object]) -> None:
        """Until it is done; raises KafkaException with what another try would not change."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                call(_TIMEOUT_S)
                return
            except KafkaException as failure:
                if not failure.args[0].retriable() or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def check(self, verdict: Verdict) -> None:
        seen = [self._numbers(partition, verdict) for partition in range(self.partitions)]
        for number, outcome in enumerate(self.outcomes):
            self.check_one(verdict, number, outcome, [counts[number] for counts in seen])
        verdict.transactions_ended += len(self.outcomes) - self.outcomes.count(Outcome.UNKNOWN)

    def check_one(self, verdict: Verdict, number: int, outcome: Outcome, seen: list[int]) -> None:
        """`seen` are the records of a transaction in each partition."""
        where = f"{self.topic} transaction {self.name}:{number}, {outcome.value}"
        if outcome is Outcome.COMMITTED and min(seen) < self.records:
            verdict.lost.append(f"{where}: {seen}")
        if outcome is Outcome.ABORTED and max(seen) > 0:
            verdict.wrong.append(f"{where}: {seen}")
        if max(seen) > self.records:
            verdict.duplicated.append(f"{where}: {seen}")
        if len(set(seen)) > 1 or seen[0] not in {0, self.records}:
            verdict.wrong.append(f"{where} was seen in part: {seen}")

    def _numbers(self, partition: int, verdict: Verdict) -> Counter[int]:
        """How many records of each transaction a reader of committed records sees."""
        messages = self.clients.read(self.topic, partition)
        numbers = [number for each in messages if (number := number_of(each, self.name)) >= 0]
        if numbers != sorted(numbers):
            verdict.disordered.append(f"{self.topic}-{partition} {self.name}")
        return Counter(numbers)


class KeyedTransactionalWriter(TransactionalWriter):
    """Writes a few keys of its own to a compacted topic, one record for each transaction and partition: of
    each key the last one that was committed must stay.
    """

    records = 1

    def key(self, number: int) -> bytes:
        return b"%s-%d" % (self.name.encode(), number % KEYS)

    def check_one(self, verdict: Verdict, number: int, outcome: Outcome, seen: list[int]) -> None:
        where = f"{self.topic} transaction {self.name}:{number}, {outcome.value}"
        later = self.outcomes[number + KEYS :: KEYS]
        is_last = all(each is Outcome.ABORTED for each in later)
        if outcome is Outcome.COMMITTED and is_last and min(seen) < 1:
            verdict.lost.append(f"{where}: {seen}")
        if outcome is Outcome.ABORTED and max(seen) > 0:
            verdict.wrong.append(f"{where}: {seen}")
        if max(seen) > 1:
            verdict.duplicated.append(f"{where}: {seen}")
