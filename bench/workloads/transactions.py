"""Transactional produce: how many transactions of a producer, or of several, are committed in a second."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from bench import load, rdkafka
from bench.workloads.model import LIBRDKAFKA, Context, Row, Workload, each_round

_PARTITIONS, _RECORD_BYTES = 12, 1024


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
    return Workload(
        case.name, "transactions", LIBRDKAFKA, each_round(functools.partial(_commit, case)), seconds
    )


WORKLOADS = (
    _workload(_Case(100, 500), 6),
    _workload(_Case(1, 700), 5),
    _workload(_Case(1, 250, producers=8), 4),
)
