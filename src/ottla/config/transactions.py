"""The keys of transactions: how long they may take, and where their coordinator keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from ottla.config.definition import DAY_MS, INT, SHORT, ConfigDef, at_least

TRANSACTION_KEYS = (
    ConfigDef(
        "transaction.max.timeout.ms",
        INT,
        900_000,
        "The longest transaction timeout that a producer may ask for.",
        at_least(1),
    ),
    ConfigDef(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        INT,
        10_000,
        "How often transactions are looked for that took longer than their timeout; they are aborted, and "
        "their producers fenced.",
        at_least(1),
    ),
    ConfigDef(
        "transactional.id.expiration.ms",
        INT,
        7 * DAY_MS,
        "How long a transactional id is remembered that nobody uses.",
        at_least(1),
    ),
    ConfigDef(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        INT,
        3_600_000,
        "How often transactional ids are looked for that nobody used for `transactional.id.expiration.ms`.",
        at_least(1),
    ),
    ConfigDef(
        "transaction.state.log.num.partitions",
        INT,
        50,
        "The partitions of `__transaction_state`; must not change once the topic exists.",
        at_least(1),
    ),
    ConfigDef(
        "transaction.state.log.replication.factor",
        SHORT,
        3,
        "The replicas of `__transaction_state`, which waits for as many brokers. A single node has 1.",
        at_least(1),
    ),
    ConfigDef(
        "transaction.state.log.min.isr",
        INT,
        2,
        "How many replicas of `__transaction_state` have to be in sync for a write, at most all.",
        at_least(1),
    ),
    ConfigDef(
        "transaction.state.log.segment.bytes",
        INT,
        100 << 20,
        "The segment size of `__transaction_state`.",
        at_least(1),
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TransactionConfig:
    """What the transaction coordinator is set up by; sizes in bytes, times in milliseconds."""

    transaction_max_timeout_ms: int
    transaction_abort_timed_out_transaction_cleanup_interval_ms: int
    transactional_id_expiration_ms: int
    transaction_remove_expired_transaction_cleanup_interval_ms: int
    transaction_state_log_num_partitions: int
    transaction_state_log_replication_factor: int
    transaction_state_log_min_isr: int
    transaction_state_log_segment_bytes: int
