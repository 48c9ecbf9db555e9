"""Whatever producers ask and whatever fails, a transaction can always be ended, and the log says all."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.coordinator_harness import image
from tests.transaction_harness import Transactions

from ottla.coordination.transactions.state import TRANSITIONS, TransactionState, record_of
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from ottla.protocol.messages.end_txn import EndTxnRequest
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest

IDS = st.sampled_from(["x", "x", "x", "y"])
AGES = st.sampled_from([0, 0, 0, 0, 1, 2])
"""How many answers ago the producer was given what it uses."""
RARELY = st.sampled_from([False, False, False, True])
PARTITIONS = st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=2)
MARKER_ERRORS = st.sampled_from(
    [
        ErrorCode.none,
        ErrorCode.none,
        ErrorCode.not_leader_or_follower,
        ErrorCode.invalid_producer_epoch,
        ErrorCode.kafka_storage_error,
        ErrorCode.unknown_topic_or_partition,
    ]
)
APPEND_ERRORS = st.sampled_from(
    [None, None, None, ErrorCode.not_enough_replicas, ErrorCode.kafka_storage_error]
)
LONGEST_RETRY_MS = 1000


class RandomRequests(RuleBasedStateMachine):
    """Producers of both versions, each with what it was last given, or with something older."""

    def __init__(self) -> None:
        super().__init__()
        self.coordinator = Transactions(image(t=4), {})
        self.given: dict[str, list[tuple[int, int]]] = {"x": [(7, 0)], "y": [(7, 0)]}
        self.states: dict[str, TransactionState] = {}
        self.seen = 0

    def ask(self, class_: Any, version: int | None, **fields: Any) -> dict[str, Any] | None:
        coordinator = self.coordinator
        handle = coordinator.send(class_, fields, version=version, client_id="p")
        return coordinator.replies.get(handle)

    def producer(self, id_: str, age: int) -> dict[str, int]:
        producer_id, epoch = self.given[id_][-1 - min(age, len(self.given[id_]) - 1)]
        return {"producer_id": producer_id, "producer_epoch": epoch}

    def note(self, id_: str, reply: dict[str, Any] | None) -> None:
        if reply and reply["error_code"] is ErrorCode.none and reply.get("producer_id", -1) >= 0:
            self.given[id_].append((reply["producer_id"], reply["producer_epoch"]))

    @rule(id_=IDS, recover=RARELY, age=AGES)
    def initialize(self, id_: str, recover: bool, age: int) -> None:
        expected = self.producer(id_, age) if recover else {}
        reply = self.ask(
            InitProducerIdRequest, 5, transactional_id=id_, transaction_timeout_ms=60_000, **expected
        )
        self.note(id_, reply)

    @rule(id_=IDS, partitions=PARTITIONS, age=AGES, is_new=st.booleans(), verify=RARELY)
    def add(self, id_: str, partitions: list[int], age: int, is_new: bool, verify: bool) -> None:
        producer, topics = self.producer(id_, age), [{"name": "t", "partitions": partitions}]
        if is_new:
            asked = {**producer, "transactional_id": id_, "verify_only": verify, "topics": topics}
            self.ask(AddPartitionsToTxnRequest, 5, transactions=[asked])
        else:
            older = {f"v3_and_below_{name}": value for name, value in producer.items()}
            self.ask(
                AddPartitionsToTxnRequest,
                3,
                **older,
                v3_and_below_transactional_id=id_,
                v3_and_below_topics=topics,
            )

    @rule(id_=IDS, age=AGES, committed=st.booleans(), version=st.sampled_from([1, 4, 5, 5, 5]))
    def end(self, id_: str, age: int, committed: bool, version: int) -> None:
        fields = {"transactional_id": id_, **self.producer(id_, age), "committed": committed}
        self.note(id_, self.ask(EndTxnRequest, version, **fields))

    @rule(id_=IDS, codes=st.lists(MARKER_ERRORS, min_size=4, max_size=4))
    def markers(self, id_: str, codes: list[ErrorCode]) -> None:
        marker = self.coordinator.markers.get(id_)
        if marker is not None:
            failed = {each: codes[each[1]] for each in marker.partitions}
            self.coordinator.written(id_, failed)

    @rule(id_=IDS)
    def not_sent(self, id_: str) -> None:
        if id_ in self.coordinator.markers:
            self.coordinator.unsent(id_)

    @rule(ms=st.sampled_from([10, 100, 2_000, 71_000]))
    def wait(self, ms: int) -> None:
        self.coordinator.advance(ms)

    @rule()
    def restart(self) -> None:
        self.coordinator.restart()

    @rule(error=APPEND_ERRORS)
    def appends(self, error: ErrorCode | None) -> None:
        self.coordinator.log.error = error

    @rule(lacks=RARELY)
    def producer_ids(self, lacks: bool) -> None:
        self.coordinator.has_producer_ids = not lacks

    @rule(id_=IDS)
    def nearly_exhausted(self, id_: str) -> None:
        """The epoch jumps to the last but one: it would take long to come there."""
        transaction = self.coordinator.transaction(id_)
        if transaction is not None and transaction.state is TransactionState.EMPTY:
            self.coordinator.write([record_of(transaction._replace(producer_epoch=32_765), 1)])
            self.coordinator.restart()
            self.given[id_].append((transaction.producer_id, 32_765))

    @rule(topics=st.sampled_from([{"t": 4}, {"t": 2}, {}]))
    def topic_comes_and_goes(self, topics: dict[str, int]) -> None:
        self.coordinator.set_image(image(**topics)._replace(features=self.coordinator.image.features))

    @invariant()
    def the_log_says_all(self) -> None:
        assert self.coordinator.known() == self.coordinator.known(self.coordinator.rebuilt())
        assert self.coordinator.known() == self.coordinator.known(self.coordinator.rebuilt(compacted=True))

    @invariant()
    def states_follow_the_table(self) -> None:
        """Also in the log, whoever wrote it; epochs never go back."""
        shard, log = self.coordinator.shard, self.coordinator.log
        for logged in log.records[self.seen :]:
            record = shard.record_types.decode(logged.key, logged.value)
            assert record is not None
            id_ = record.key.transactional_id  # type: ignore[attr-defined]
            before = self.states.pop(id_, TransactionState.EMPTY)
            if record.value is None:
                assert TransactionState.DEAD in TRANSITIONS[before]
            else:
                after = TransactionState(record.value.transaction_status)  # type: ignore[attr-defined]
                assert after in TRANSITIONS[before]
                self.states[id_] = after
        self.seen = len(log)

    def teardown(self) -> None:
        """Once nothing fails any more, every id is free for a new producer within a moment."""
        coordinator = self.coordinator
        coordinator.log.error, coordinator.has_producer_ids = None, True
        coordinator.set_image(image(t=4)._replace(features=coordinator.image.features))
        for id_ in ("x", "y"):
            for _ in range(4):
                coordinator.advance(LONGEST_RETRY_MS)
                if id_ in coordinator.markers:
                    coordinator.written(id_)
                reply = self.ask(
                    InitProducerIdRequest, 5, transactional_id=id_, transaction_timeout_ms=60_000
                )
                assert reply is not None
                if reply["error_code"] is ErrorCode.none:
                    break
            assert reply["error_code"] is ErrorCode.none
            self.note(id_, reply)
            topics = [{"name": "t", "partitions": [0]}]
            asked = {**self.producer(id_, 0), "transactional_id": id_, "topics": topics}
            self.ask(AddPartitionsToTxnRequest, 5, transactions=[asked])
            reply = self.ask(EndTxnRequest, 5, transactional_id=id_, **self.producer(id_, 0), committed=True)
            assert reply is not None
            assert reply["error_code"] is ErrorCode.none
            coordinator.written(id_)
        self.states_follow_the_table()
        self.the_log_says_all()
        assert not coordinator.pending


TestRandomRequests = RandomRequests.TestCase
TestRandomRequests.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
