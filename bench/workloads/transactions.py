"""Transactional produce: how many transactions of a producer, or of several, are committed in a second."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from bench import load, rdkafka
from bench.workloads.model import LIBRDKAFKA, Context, Measure, Row, Workload

_PARTITIONS, _RECORD_BYTES = 12, 1024
_WARMING_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _Case:
    records: int
    """In each transaction."""
    transactions: int
    """Of each producer in the full form: some seconds on a small machine."""
    producers: int = 1

    @property
    def name(self) -> str:
        of = f"{self.records} record{'s' * (self.records > 1)} a transaction"
        return of if self.producers == 1 else f"{of}, {self.producers} producers"


def _commit(case: _Case, context: Context) -> Row:
    broker, transactions = context.broker, context.scaled(case.transactions)
    with context.topic(_PARTITIONS) as topic:
        task = load.Task(
            broker.address,
            topic,
            _PARTITIONS,
            transactions * case.records,
            _RECORD_BYTES,
            transaction=case.records,
        )
        cpu_s = broker.cpu_s()
        done = load.together(*[(rdkafka.produce_in_transactions, task)] * case.producers)
        used_s, all_of_them = broker.cpu_s() - cpu_s, transactions * case.producers
    return {
        "transactions/s": all_of_them / done.elapsed_s,
        "CPU us/transaction": used_s / all_of_them * 1e6,
        "broker cores": used_s / done.elapsed_s,
        **done.row(),
    }


def _workload(case: _Case, seconds: float) -> Workload:
    @contextlib.contextmanager
    def prepare(context: Context) -> Iterator[Measure]:
        """Some rounds are not counted: a JVM compiles what only transactions need while it meets it."""
        for _ in range(_WARMING_ROUNDS):
            _commit(case, context)
        yield functools.partial(_commit, case, context)

    return Workload(case.name, "transactions", LIBRDKAFKA, prepare, seconds)


WORKLOADS = (
    _workload(_Case(100, 500), 10),
    _workload(_Case(1, 700), 8),
    _workload(_Case(1, 250, producers=8), 6),
)
