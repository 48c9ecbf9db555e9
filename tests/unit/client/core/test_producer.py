"""A producer's core: what is sent when, in which order, under which numbers, and what becomes of it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ottla.client.core.backoff import Backoff
from ottla.client.core.batches import Batch, Compression, Identity
from ottla.client.core.metadata import BrokerNode, ClusterMetadata, PartitionView, TopicView
from ottla.client.core.producer import LAST_EPOCH, NEVER, Limits, ProducerCore, ProduceTo
from ottla.client.errors import BrokerError, BrokerUnreachableError, DisconnectedError, RequestTimeoutError
from ottla.protocol.errors import ErrorCode
from ottla.records.batch import has_valid_crc, parse_header
from ottla.records.codec import decode_batch
from ottla.records.compression import Codec

ME = Identity(7, 0)
LIMITS = Limits(
    batch_size=200,
    linger_s=0.0,
    buffer_memory=100_000,
    max_request_size=1_000,
    max_in_flight=5,
    delivery_timeout_s=100.0,
    retries=1_000_000,
    backoff=Backoff(100, 1000),
    compression=Compression(Codec.none),
    is_idempotent=True,
    is_transactional=False,
)


def cluster(*leaders: int) -> ClusterMetadata:
    """A topic whose partitions are led by these."""
    partitions = {index: PartitionView(index, leader, 1) for index, leader in enumerate(leaders)}
    brokers = {node: BrokerNode(node, "h", 1) for node in (1, 2)}
    return ClusterMetadata(brokers, {"t": TopicView("t", None, False, partitions)})


ONE = cluster(1)


def producer(**changed: Any) -> ProducerCore:
    core = ProducerCore(LIMITS._replace(**changed), lambda: 0.5)
    if core.limits.is_idempotent:
        core.identified(ME)
    return core


def put(core: ProducerCore, value: bytes = b"v", partition: int = 0, now: float = 0.0) -> Batch:
    batch = core.append("t", partition, 1000, None, value, (), now)
    assert batch is not None
    return batch


def put_batch(core: ProducerCore, value: bytes = b"v", partition: int = 0, now: float = 0.0) -> Batch:
    """A record that is a batch by itself."""
    batch = put(core, value, partition, now)
    batch.freeze(core.limits.compression)
    return batch


def drain(core: ProducerCore, metadata: ClusterMetadata = ONE, now: float = 0.0) -> list[Batch]:
    """What is sent, in requests that are no matter."""
    requests = core.drain(metadata, now)
    for request in requests:
        core.answered(request)
    return [batch for request in requests for batch in request.batches]


def values(batch: Batch) -> list[bytes | None]:
    assert batch.data is not None
    return [record.value for record in decode_batch(batch.data, max_bytes=10_000)]


def numbers(batch: Batch) -> tuple[int, int, int]:
    assert batch.data is not None
    header = parse_header(batch.data)
    assert has_valid_crc(batch.data, header)
    return header.producer_id, header.producer_epoch, header.base_sequence


def refuse(core: ProducerCore, batch: Batch, code: ErrorCode, now: float = 0.0) -> object:
    return core.refused(batch, code, None, now)


def test_records_share_batches_up_to_their_size() -> None:
    core = producer(linger_s=1.0)
    batches = [put(core, bytes([number]) * 50) for number in range(6)]
    assert [batch.count for batch in dict.fromkeys(batches)] == [2, 2, 2]
    first = drain(core, ONE, 0.0)
    assert [values(batch) for batch in first] == [[b"\0" * 50, b"\1" * 50], [b"\2" * 50, b"\3" * 50]]
    assert core.next_wakeup() == 1.0, "the last lingers"
    assert [values(batch) for batch in drain(core, ONE, 1.0)] == [[b"\4" * 50, b"\5" * 50]]


def test_what_is_due_does_not_linger() -> None:
    core = producer(linger_s=1.0)
    batch = put(core)
    assert core.drain(ONE, 0.5) == []
    batch.is_due = True
    assert drain(core, ONE, 0.5) == [batch]


def test_what_waits_for_an_identity_is_given_up_in_time() -> None:
    core = ProducerCore(LIMITS._replace(delivery_timeout_s=30.0), lambda: 0.5)
    put(core, now=1.0)
    assert drain(core, ONE, 2.0) == []
    assert core.next_wakeup() == 31.0
    assert len(core.expire(31.0)) == 1


def test_a_request_has_one_batch_of_a_partition_and_is_bounded() -> None:
    core = producer(max_request_size=450)
    for partition in (0, 1, 2):
        for _ in range(2):
            put_batch(core, b"x" * 100, partition)
    requests = core.drain(cluster(1, 1, 2), 0.0)
    assert [request.node for request in requests] == [1, 2, 1, 2]
    assert all(
        len({batch.partition for batch in request.batches}) == len(request.batches) for request in requests
    )
    core = producer(max_request_size=250)
    for partition in (0, 1):
        put_batch(core, b"x" * 100, partition)
    assert [len(request.batches) for request in core.drain(cluster(1, 1), 0.0)] == [1, 1]


def test_only_so_many_requests_of_a_node_are_in_flight() -> None:
    core = producer(max_in_flight=2)
    batches = [put_batch(core, partition=partition) for partition in (0, 0, 1, 1, 1)]
    requests = core.drain(cluster(1, 1), 0.0)
    assert [request.batches for request in requests] == [[batches[0], batches[2]], [batches[1], batches[3]]]
    core.answered(requests[0])
    core.delivered(batches[0], 0)
    assert core.drain(cluster(1, 1), 0.0) == [], "two of the partition are in flight"
    core.delivered(batches[2], 0)
    assert drain(core, cluster(1, 1)) == batches[4:]


def test_memory_is_bounded_and_freed() -> None:
    core = producer(buffer_memory=450)
    first = put_batch(core)
    put_batch(core)
    assert core.append("t", 0, 1, None, b"v", (), 0.0) is None
    assert core.append_whole("t", 0, bytearray(100), 1, 0.0) is None
    drain(core, ONE, 0.0)
    core.delivered(first, 0)
    put(core)
    core.drop_waiting(DisconnectedError(""))
    assert core.reserved == 200


def test_a_record_that_no_request_has_room_for_is_refused() -> None:
    core = producer()
    with pytest.raises(BrokerError, match=r"t-0: message_too_large: .*max.request.size"):
        put(core, b"x" * 1000)
    assert core.reserved == 0
    large = put(core, b"x" * 600)
    assert drain(core, ONE, 0.0) == [large]


def test_nor_does_it_get_into_a_batch_that_is_open() -> None:
    core = producer(batch_size=10_000)
    put(core)
    with pytest.raises(BrokerError, match="message_too_large"):
        put(core, b"x" * 1000)


def test_without_a_leader_it_waits_and_says_so() -> None:
    core = producer()
    batch = put(core)
    assert core.drain(cluster(-1), 0.0) == []
    assert list(core.leaderless) == ["t"]
    assert core.next_wakeup() == 100.0
    assert drain(core, ONE, 0.0) == [batch]
    assert not core.leaderless


def test_without_a_connection_it_waits_and_says_so() -> None:
    core = producer()
    batch, other = put(core), put(core, partition=1)
    core.limits = core.limits._replace(linger_s=0.0)
    requests = core.drain(cluster(1, 2), 0.0, is_connected=lambda node: node == 2)
    assert [request.batches for request in requests] == [[other]]
    assert list(core.unconnected) == [1]
    assert (batch.order, batch.attempts) == (-1, 0), "it is neither numbered nor tried"
    core.last_problem = DisconnectedError("nobody there")
    assert "last: nobody there" in str(core.expire(1000.0)[0])


def test_deliveries_tell_offsets_and_times() -> None:
    core = producer()
    batch = put(core)
    put(core)
    drain(core, ONE, 0.0)
    core.delivered(batch, 40)
    assert batch.whereabouts(1, 1000) == ("t", 0, 41, 1000)
    other = put(core)
    drain(core, ONE, 0.0)
    core.delivered(other, 42, append_time=5)
    assert other.whereabouts(0, 1000) == ("t", 0, 42, 5)
    assert core.reserved == 0
    assert core.unfinished() == []


def test_without_idempotence_nothing_is_numbered() -> None:
    core = producer(is_idempotent=False)
    batch = put(core)
    drain(core, ONE, 0.0)
    assert numbers(batch) == (-1, -1, -1)


def test_an_idempotent_producer_waits_for_its_identity_and_numbers_by_records() -> None:
    core = ProducerCore(LIMITS, lambda: 0.5)
    first = put(core)
    put(core)
    assert core.drain(ONE, 0.0) == []
    core.identified(ME)
    drain(core, ONE, 0.0)
    second = put(core)
    drain(core, ONE, 0.0)
    assert (numbers(first), numbers(second)) == ((7, 0, 0), (7, 0, 2))


def test_repeats_keep_their_number_and_go_first_and_alone() -> None:
    core = producer()
    batches = [put_batch(core, bytes([number])) for number in range(3)]
    drain(core, ONE, 0.0)
    before = [numbers(batch) for batch in batches]
    news = put_batch(core)
    for batch in reversed(batches):
        assert refuse(core, batch, ErrorCode.not_leader_or_follower) is None
    assert core.drain(ONE, 0.05) == [], "it backs off"
    assert 0.05 < core.next_wakeup() < 1
    for batch, number in zip(batches, before, strict=True):
        assert drain(core, ONE, 2.0)[0] is batch
        assert numbers(batch) == number
        core.delivered(batch, 0)
    core.delivered(news, 3)


def test_what_was_in_the_log_already_is_delivered() -> None:
    core = producer()
    batch = put(core)
    drain(core, ONE, 0.0)
    assert refuse(core, batch, ErrorCode.duplicate_sequence_number) is None
    assert batch.whereabouts(0, 1).offset == -1


def test_out_of_order_behind_what_is_sent_again_is_no_loss() -> None:
    core = producer()
    first, second = put_batch(core), put_batch(core)
    drain(core, ONE, 0.0)
    core.unanswered(first, DisconnectedError(""), 0.0, was_sent=True)
    assert refuse(core, second, ErrorCode.out_of_order_sequence_number) is None
    assert drain(core, ONE, 2.0) == [first]
    core.delivered(first, 0)
    assert drain(core, ONE, 2.0) == [second]
    assert numbers(second) == (7, 0, 1)


@pytest.mark.parametrize("code", [ErrorCode.out_of_order_sequence_number, ErrorCode.unknown_producer_id])
def test_where_the_broker_lost_what_came_before_the_next_epoch_begins(code: ErrorCode) -> None:
    core = producer()
    first, second = put_batch(core), put_batch(core)
    other = put_batch(core, partition=1)
    drain(core, cluster(1, 2), 0.0)
    assert refuse(core, first, code) is None
    assert core.drain(cluster(1, 2), 2.0) == [], "not while something of the partition is in flight"
    refuse(core, second, code)
    assert drain(core, cluster(1, 2), 4.0) == [first, second]
    assert [numbers(batch) for batch in (first, second)] == [(7, 1, 0), (7, 1, 1)]
    core.delivered(other, 0)
    another = put_batch(core, partition=1)
    drain(core, cluster(1, 2), 4.0)
    assert numbers(another) == (7, 1, 0)


def test_what_may_be_in_the_log_is_not_sent_under_another_number() -> None:
    core = producer()
    first, second = put_batch(core), put_batch(core)
    drain(core, ONE, 0.0)
    core.unanswered(second, DisconnectedError("gone"), 0.0, was_sent=True)
    refuse(core, first, ErrorCode.message_too_large)
    with pytest.raises(BrokerError):
        first.whereabouts(0, 0)
    third = put_batch(core)
    assert drain(core, ONE, 2.0) == [third]
    with pytest.raises(DisconnectedError, match="gone"):
        second.whereabouts(0, 0)
    assert numbers(third) == (7, 1, 0)


def test_what_never_left_is_sent_under_another_number() -> None:
    core = producer()
    first, second = put_batch(core), put_batch(core)
    drain(core, ONE, 0.0)
    core.unanswered(second, BrokerUnreachableError(""), 0.0, was_sent=False)
    refuse(core, first, ErrorCode.invalid_record)
    assert drain(core, ONE, 2.0) == [second]
    assert numbers(second) == (7, 1, 0)


def test_used_up_epochs_need_another_id() -> None:
    core = producer()
    core.identified(Identity(7, LAST_EPOCH))
    batch = put(core)
    drain(core, ONE, 0.0)
    refuse(core, batch, ErrorCode.unknown_producer_id)
    assert core.drain(ONE, 2.0) == []
    assert core.needs_identity
    core.identified(Identity(8, 0))
    assert drain(core, ONE, 2.0) == [batch]
    assert numbers(batch) == (8, 0, 0)


def test_a_transactions_epoch_is_not_the_producers_to_change() -> None:
    core = producer(is_transactional=True)
    batch = put(core)
    drain(core, ONE, 0.0)
    assert parse_header(batch.data or b"").attributes & 0x10
    error = refuse(core, batch, ErrorCode.out_of_order_sequence_number)
    assert isinstance(error, BrokerError)
    news = put(core)
    assert core.drain(ONE, 2.0) == []
    assert core.has_broken_numbers
    core.identified(Identity(7, 1))
    assert drain(core, ONE, 2.0) == [news]
    assert numbers(news) == (7, 1, 0)
    assert not core.has_broken_numbers


@pytest.mark.parametrize("codec", list(Codec))
def test_a_batch_that_is_too_large_for_the_topic_is_split(codec: Codec) -> None:
    core = producer(batch_size=500, compression=Compression(codec))
    whole = put(core, b"0" * 40)
    for number in (b"1", b"2"):
        put(core, number * 40)
    drain(core, ONE, 0.0)
    after = put_batch(core, b"after")
    assert refuse(core, whole, ErrorCode.message_too_large) is None
    (first,) = drain(core, ONE, 0.0)
    assert values(first) == [b"0" * 40]
    before = numbers(first)
    core.delivered(first, 10)
    second, after_it = drain(core, ONE, 0.0)
    assert values(second) == [b"1" * 40, b"2" * 40]
    assert (before, numbers(second)) == ((7, 0, 0), (7, 0, 1))
    core.delivered(second, 11)
    assert [whole.whereabouts(index, 5).offset for index in range(3)] == [10, 11, 12]
    assert after_it is after
    assert numbers(after) == (7, 0, 3)
    core.delivered(after, 13)
    assert core.reserved == 0


def test_one_record_that_is_too_large_for_the_topic_fails() -> None:
    core = producer()
    batch = put(core)
    drain(core, ONE, 0.0)
    assert isinstance(refuse(core, batch, ErrorCode.message_too_large), BrokerError)


def test_time_runs_out() -> None:
    core = producer()
    flying, waiting = put_batch(core), put_batch(core, partition=1)
    drain(core, cluster(1, -1), 0.0)
    late = put_batch(core, now=50.0)
    assert core.expire(99.9) == []
    errors = core.expire(100.0)
    assert [type(error) for error in errors] == [RequestTimeoutError] * 2
    assert "t-0: 1 records were not delivered within delivery.timeout.ms" in map(str, errors)
    for batch in (flying, waiting):
        with pytest.raises(RequestTimeoutError):
            batch.whereabouts(0, 0)
    assert core.drain(ONE, 100.0) == [], "the first may still get in, and numbers go on only when it is over"
    core.delivered(flying, 3)
    assert drain(core, ONE, 100.0) == [late]
    assert numbers(late) == (7, 1, 0)


def test_attempts_are_bounded_by_retries() -> None:
    core = producer(retries=1)
    batch = put(core)
    drain(core, ONE, 0.0)
    assert refuse(core, batch, ErrorCode.not_leader_or_follower) is None
    drain(core, ONE, 2.0)
    assert isinstance(refuse(core, batch, ErrorCode.not_leader_or_follower), BrokerError)


def test_what_waits_can_be_dropped() -> None:
    core = producer(linger_s=1.0)
    batch = put(core)
    core.drop_waiting(DisconnectedError("over"))
    with pytest.raises(DisconnectedError, match="over"):
        batch.whereabouts(0, 0)
    drain(core, ONE, 0.0)
    assert (core.next_wakeup(), core.reserved) == (NEVER, 0)


class ModelBroker:
    """Keeps a partition's log as Kafka does: of each epoch the next number, and what the last five had."""

    def __init__(self, chance: random.Random) -> None:
        self.log: list[bytes | None] = []
        self._chance = chance
        self._epoch = -1
        self._next = 0
        self._last: dict[int, int] = {}

    def produce(self, epoch: int, sequence: int, records: list[bytes | None]) -> tuple[ErrorCode, int]:
        if self._chance.random() < 0.1:
            return ErrorCode.not_leader_or_follower, -1
        if epoch < self._epoch:
            return ErrorCode.invalid_producer_epoch, -1
        if epoch > self._epoch:
            if sequence:
                return ErrorCode.out_of_order_sequence_number, -1
            self._epoch, self._next, self._last = epoch, 0, {}
        if sequence in self._last:
            return ErrorCode.none, self._last[sequence]
        if sequence != self._next:
            return ErrorCode.out_of_order_sequence_number, -1
        if self._chance.random() < 0.03:
            return ErrorCode.invalid_record, -1
        if self._chance.random() < 0.01:
            self._next, self._last = 10**6, {}  # as though it were another log's
            return ErrorCode.unknown_producer_id, -1
        offset = len(self.log)
        self.log += records
        self._next += len(records)
        self._last[sequence] = offset
        while len(self._last) > 5:
            del self._last[next(iter(self._last))]
        return ErrorCode.none, offset


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_records_are_in_the_log_once_and_in_order(seed: int) -> None:
    """Requests and answers are lost, answers overtake one another between partitions, leaders say no."""
    chance = random.Random(seed)
    core = ProducerCore(LIMITS._replace(delivery_timeout_s=30.0), chance.random)
    core.identified(ME)
    brokers = {partition: ModelBroker(chance) for partition in (0, 1)}
    metadata = cluster(1, 2)
    deliveries: dict[int, list[tuple[Batch, int, bytes]]] = {0: [], 1: []}
    flying: list[tuple[ProduceTo, list[tuple[int, int, list[bytes | None]]]]] = []
    now, made = 0.0, 0
    while made < 300 or core.unfinished() or flying:
        now += chance.choice((0.0, 0.01, 0.3))
        if made < 300 and chance.random() < 0.7:
            partition, value = chance.randrange(2), b"%d" % made
            batch = put(core, value + b" " * 60, partition, now)
            deliveries[partition].append((batch, batch.count - 1, value + b" " * 60))
            made += 1
        core.expire(now)
        flying += [
            (request, [(*numbers(batch)[1:], values(batch)) for batch in request.batches])
            for request in core.drain(metadata, now)
        ]
        if flying and chance.random() < 0.6:
            request, written = flying.pop(0)
            fate = chance.random()
            for batch, what in zip(request.batches, written, strict=True):
                code, offset = (ErrorCode.none, -1)
                if fate >= 0.05:
                    code, offset = brokers[batch.partition].produce(*what)
                if fate < 0.15:
                    core.unanswered(batch, DisconnectedError(""), now, was_sent=True)
                elif code is ErrorCode.none:
                    core.delivered(batch, offset)
                else:
                    refuse(core, batch, code, now)
            core.answered(request)
    for partition, told in deliveries.items():
        log = brokers[partition].log
        assert len(set(log)) == len(log), "nothing is there twice"
        order = [value for _, _, value in told]
        assert log == [value for value in order if value in set(log)], "and all in the order of sending"
        for batch, index, value in told:
            if batch.part_of(index)[0].error is None:
                offset = batch.whereabouts(index, 0).offset
                assert log[offset] == value
    assert core.reserved == 0
