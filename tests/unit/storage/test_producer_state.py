"""Producer state: refusals, duplicates and unstable offsets (KIP-98, KIP-360, KIP-890)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import BatchHeader, parse_header
from ottla.records.codec import ControlType, Record, encode_batch, encode_end_transaction_marker
from ottla.records.compression import Codec
from ottla.records.markers import ControlMarker, parse_control_marker
from ottla.storage.producer_state import BatchMetadata, CompletedTxn, LastRecord, ProducerState

PRODUCER = 7
MAX_SEQUENCE = 2**31 - 1


def header(
    sequence: int, count: int = 1, *, epoch: int = 0, producer_id: int = PRODUCER, transactional: bool = False
) -> BatchHeader:
    records = [Record(i, 1000, None, b"v") for i in range(count)]
    return parse_header(
        encode_batch(
            records,
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=sequence,
            is_transactional=transactional,
        )
    )


def marker_header(*, epoch: int = 0, producer_id: int = PRODUCER) -> BatchHeader:
    return parse_header(
        encode_end_transaction_marker(
            ControlType.commit,
            base_offset=0,
            timestamp=0,
            producer_id=producer_id,
            producer_epoch=epoch,
            coordinator_epoch=0,
        )
    )


def append(state: ProducerState, batch: BatchHeader, timestamp: int = 1000) -> int | BatchMetadata:
    """Append as the leader does; the base offset, or the batch that this one repeats."""
    offset = state.map_end_offset
    duplicate = state.check(batch, offset)
    if duplicate is not None:
        return duplicate
    state.update(batch, offset, timestamp)
    state.map_end_offset = offset + batch.last_offset_delta + 1
    return offset


def end(
    state: ProducerState, *, commit: bool, epoch: int = 0, producer_id: int = PRODUCER
) -> CompletedTxn | None:
    offset = state.map_end_offset
    state.map_end_offset += 1
    marker = ControlMarker(commit, 0, 1000)
    return state.end_transaction(marker_header(epoch=epoch, producer_id=producer_id), marker, offset)


def refusal(state: ProducerState, batch: BatchHeader) -> ErrorCode:
    with pytest.raises(KafkaError) as raised:
        append(state, batch)
    return raised.value.code


class TestSequences:
    def test_consecutive_batches_are_appended(self) -> None:
        state = ProducerState("t-0")
        assert append(state, header(0, 3)) == 0
        assert append(state, header(3, 2)) == 3
        assert state.producers[PRODUCER].last_sequence == 4

    def test_an_unknown_producer_may_start_anywhere(self) -> None:
        assert append(ProducerState("t-0"), header(42)) == 0

    @pytest.mark.parametrize("sequence", [0, 2, 4, MAX_SEQUENCE])
    def test_a_gap_or_a_step_back_is_out_of_order(self, sequence: int) -> None:
        state = ProducerState("t-0")
        append(state, header(0, 3))
        assert refusal(state, header(sequence)) is ErrorCode.out_of_order_sequence_number
        assert append(state, header(3)) == 3

    def test_each_of_the_last_five_batches_is_recognised_and_no_older_one(self) -> None:
        state = ProducerState("t-0")
        for sequence in range(0, 12, 2):
            append(state, header(sequence, 2), timestamp=sequence)
        for sequence in range(2, 12, 2):
            duplicate = append(state, header(sequence, 2))
            assert duplicate == BatchMetadata(sequence + 1, sequence + 1, 1, sequence)
            assert (duplicate.first_offset, duplicate.first_sequence) == (sequence, sequence)
        assert refusal(state, header(0, 2)) is ErrorCode.out_of_order_sequence_number
        assert state.map_end_offset == 12

    def test_a_part_of_an_appended_batch_is_no_duplicate(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, 4))
        assert refusal(state, header(0, 3)) is ErrorCode.out_of_order_sequence_number
        assert refusal(state, header(2, 2)) is ErrorCode.out_of_order_sequence_number

    def test_numbers_wrap_to_zero(self) -> None:
        state = ProducerState("t-0")
        append(state, header(MAX_SEQUENCE - 1, 2))
        assert append(state, header(0)) == 2

    def test_a_batch_may_wrap_inside_and_be_recognised(self) -> None:
        state = ProducerState("t-0")
        append(state, header(MAX_SEQUENCE, 3))
        assert state.producers[PRODUCER].last_sequence == 1
        duplicate = append(state, header(MAX_SEQUENCE, 3))
        assert isinstance(duplicate, BatchMetadata)
        assert duplicate.first_sequence == MAX_SEQUENCE
        assert append(state, header(2)) == 3

    def test_a_coordinators_own_records_are_not_counted(self) -> None:
        state = ProducerState("__consumer_offsets-0")
        append(state, header(-1, 3))
        assert state.producers[PRODUCER].last_sequence == -1
        assert state.check(header(-1), 3, from_client=False) is None
        assert append(state, header(0)) == 3


class TestEpochs:
    def test_a_new_epoch_starts_at_zero(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, 5))
        assert refusal(state, header(5, epoch=1)) is ErrorCode.out_of_order_sequence_number
        assert append(state, header(0, 5, epoch=1)) == 5

    def test_an_old_epoch_is_fenced_even_for_a_duplicate(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0))
        append(state, header(0, epoch=1))
        assert refusal(state, header(0)) is ErrorCode.invalid_producer_epoch

    def test_a_marker_with_a_new_epoch_restarts_the_sequence(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, 3, transactional=True))
        end(state, commit=True, epoch=1)
        assert (
            refusal(state, header(3, epoch=1, transactional=True)) is ErrorCode.out_of_order_sequence_number
        )
        assert append(state, header(0, epoch=1, transactional=True)) == 4

    def test_a_marker_with_the_same_epoch_does_not(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, 3, transactional=True))
        end(state, commit=True)
        assert append(state, header(3, transactional=True)) == 4


class TestMarkers:
    def check(self, state: ProducerState, *, epoch: int, coordinator: int = 0, version: int = 0) -> None:
        state.check_marker(
            marker_header(epoch=epoch),
            ControlMarker(is_commit=True, coordinator_epoch=coordinator, timestamp=0),
            transaction_version=version,
        )

    @pytest.fixture
    def open_transaction(self) -> ProducerState:
        state = ProducerState("t-0")
        append(state, header(0, epoch=3, transactional=True))
        return state

    def test_an_old_epoch_is_fenced(self, open_transaction: ProducerState) -> None:
        with pytest.raises(KafkaError) as raised:
            self.check(open_transaction, epoch=2)
        assert raised.value.code is ErrorCode.invalid_producer_epoch

    def test_the_same_epoch_is_fenced_from_version_2_on(self, open_transaction: ProducerState) -> None:
        self.check(open_transaction, epoch=3, version=1)
        self.check(open_transaction, epoch=4, version=2)
        with pytest.raises(KafkaError) as raised:
            self.check(open_transaction, epoch=3, version=2)
        assert raised.value.code is ErrorCode.invalid_producer_epoch

    def test_a_repeated_marker_is_let_through(self, open_transaction: ProducerState) -> None:
        end(open_transaction, commit=True, epoch=4)
        self.check(open_transaction, epoch=4, version=2)

    def test_an_old_coordinator_is_fenced(self, open_transaction: ProducerState) -> None:
        marker = ControlMarker(is_commit=True, coordinator_epoch=5, timestamp=0)
        open_transaction.end_transaction(marker_header(epoch=4), marker, 1)
        self.check(open_transaction, epoch=4, coordinator=5)
        with pytest.raises(KafkaError) as raised:
            self.check(open_transaction, epoch=4, coordinator=4)
        assert raised.value.code is ErrorCode.transaction_coordinator_fenced

    def test_a_marker_is_read_from_its_batch(self) -> None:
        batch = encode_end_transaction_marker(
            ControlType.abort,
            base_offset=9,
            timestamp=77,
            producer_id=1,
            producer_epoch=2,
            coordinator_epoch=3,
        )
        assert parse_control_marker(parse_header(batch), batch) == ControlMarker(False, 3, 77)

    def test_an_emptied_control_batch_says_nothing(self) -> None:
        batch = encode_batch([], producer_id=1, producer_epoch=2, is_transactional=True, is_control=True)
        assert parse_control_marker(parse_header(batch), batch) is None


class TestTransactions:
    def test_plain_records_are_refused_inside_a_transaction(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, transactional=True))
        assert refusal(state, header(1)) is ErrorCode.invalid_txn_state
        end(state, commit=True)
        assert append(state, header(1)) == 2

    def test_an_open_transaction_holds_the_first_unstable_offset(self) -> None:
        state = ProducerState("t-0")
        assert state.first_unstable_offset is None
        append(state, header(0, producer_id=1))
        append(state, header(0, 2, transactional=True))
        append(state, header(2, transactional=True))
        append(state, header(0, producer_id=2, transactional=True))
        assert state.first_unstable_offset == 1
        assert state.has_ongoing_transaction(PRODUCER, 0)
        assert not state.has_ongoing_transaction(PRODUCER, 1)
        assert state.has_ongoing_transaction(2, 0)

    def test_a_compressed_batch_begins_no_transaction(self) -> None:
        state = ProducerState("t-0")
        records = [Record(0, 1000, None, b"v")]
        batch = encode_batch(
            records, producer_id=PRODUCER, producer_epoch=0, base_sequence=0, codec=Codec.gzip
        )
        append(state, parse_header(batch))
        assert state.first_unstable_offset is None
        append(state, header(1))

    def test_a_decided_one_does_until_its_marker_is_replicated(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, 2, transactional=True))
        assert end(state, commit=False) == CompletedTxn(PRODUCER, 0, 2, 3, True)
        assert (state.first_unstable_offset, state.first_undecided_offset) == (0, None)
        for high_watermark in (1, 2):
            state.advance_high_watermark(high_watermark)
            assert state.first_unstable_offset == 0
        state.advance_high_watermark(3)
        assert state.first_unstable_offset is None

    def test_the_last_stable_offset_stops_at_the_next_open_one(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, transactional=True))
        append(state, header(0, producer_id=8, transactional=True))
        completed = end(state, commit=False)
        assert completed == CompletedTxn(PRODUCER, 0, 2, 1, True)

    def test_the_one_begun_later_may_end_first(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, transactional=True))
        append(state, header(0, producer_id=8, transactional=True))
        assert end(state, commit=True, producer_id=8) == CompletedTxn(8, 1, 2, 0, False)
        state.advance_high_watermark(3)
        assert state.first_unstable_offset == 0

    def test_a_marker_without_data_ends_nothing_but_fences(self) -> None:
        state = ProducerState("t-0")
        assert end(state, commit=True, epoch=4) is None
        assert state.last_records() == {PRODUCER: LastRecord(None, 4)}
        assert refusal(state, header(0, epoch=3)) is ErrorCode.invalid_producer_epoch

    def test_completing_can_be_asked_for_without_being_done(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, transactional=True))
        marker = ControlMarker(False, 0, 0)
        asked = state.completed_transaction(marker_header(), marker, 1)
        assert state.first_undecided_offset == 0
        assert asked == state.end_transaction(marker_header(), marker, 1)


class TestExpiry:
    def test_idle_producers_are_forgotten_but_not_open_transactions(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0), timestamp=1000)
        append(state, header(0, producer_id=8), timestamp=1001)
        append(state, header(0, producer_id=9, transactional=True), timestamp=0)
        assert state.remove_expired(now_ms=1100, expiration_ms=100) == 1
        assert sorted(state.producers) == [8, 9]

    def test_describe_shows_each_producer(self) -> None:
        state = ProducerState("t-0")
        append(state, header(0, 3, epoch=2, transactional=True), timestamp=55)
        assert [tuple(d) for d in state.describe()] == [(PRODUCER, 2, 2, 55, -1, 0)]
        end(state, commit=True, epoch=2)
        assert [tuple(d) for d in state.describe()] == [(PRODUCER, 2, 2, 1000, 0, -1)]

    def test_a_replayed_batch_of_another_epoch_is_the_only_one_of_its_epoch(self) -> None:
        for epochs in ((1, 2), (2, 1)):
            state = ProducerState("t-0")
            for epoch in epochs:
                state.replay(header(0, epoch=epoch), None)
            entry = state.producers[PRODUCER]
            assert (entry.producer_epoch, len(entry.batches)) == (epochs[1], 1)


def test_replay_brings_a_follower_to_the_leaders_state() -> None:
    leader, follower = ProducerState("t-0"), ProducerState("t-0")
    for batch in (header(0, 2, transactional=True), header(0, producer_id=8), header(2, transactional=True)):
        offset = append(leader, batch)
        assert isinstance(offset, int)
        follower.replay(batch._replace(base_offset=offset), None)
    completed = end(leader, commit=False, epoch=1)
    marker = ControlMarker(False, 0, 1000)
    assert completed is not None
    assert (
        follower.replay(marker_header(epoch=1)._replace(base_offset=completed.last_offset), marker)
        == completed
    )
    assert follower.describe() == leader.describe()
    assert follower.first_unstable_offset == leader.first_unstable_offset == 0


class Model:
    """The same rules in the plainest form: the whole history of each producer, searched each time."""

    def __init__(self) -> None:
        self.history: dict[int, list[tuple[int, int, int, int]]] = {}  # (epoch, sequence, count, offset)
        self.open: dict[int, int] = {}
        self.end = 0

    def append(self, batch: BatchHeader) -> object:
        history = self.history.setdefault(batch.producer_id, [])
        count = batch.last_offset_delta + 1
        if history:
            epoch = history[-1][0]
            same = [b for b in history if b[0] == epoch][-5:]
            if batch.producer_epoch < epoch:
                return ErrorCode.invalid_producer_epoch
            if batch.producer_epoch > epoch:
                if batch.base_sequence != 0:
                    return ErrorCode.out_of_order_sequence_number
            else:
                for _, sequence, old_count, offset in same:
                    if (sequence, old_count) == (batch.base_sequence, count):
                        return ("duplicate", offset)
                if batch.base_sequence != (same[-1][1] + same[-1][2]) % 2**31:
                    return ErrorCode.out_of_order_sequence_number
        if batch.producer_id in self.open and not batch.is_transactional:
            return ErrorCode.invalid_txn_state
        history.append((batch.producer_epoch, batch.base_sequence, count, self.end))
        if batch.is_transactional:
            self.open.setdefault(batch.producer_id, self.end)
        self.end += count
        return self.end - count


steps = st.lists(
    st.one_of(
        st.builds(
            header,
            st.sampled_from([*range(8), MAX_SEQUENCE - 1, MAX_SEQUENCE]),
            st.integers(1, 3),
            epoch=st.integers(0, 1),
            producer_id=st.integers(1, 2),
            transactional=st.booleans(),
        ),
        st.tuples(st.integers(1, 2), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_it_agrees_with_a_plain_model(steps: list[BatchHeader | tuple[int, bool]]) -> None:
    state, model = ProducerState("t-0"), Model()
    for step in steps:
        if isinstance(step, BatchHeader):
            expected = model.append(step)
            try:
                got: object = append(state, step)
            except KafkaError as refused:
                got = refused.code
            if isinstance(got, BatchMetadata):
                got = ("duplicate", got.first_offset)
            assert got == expected
        else:
            producer_id, commit = step
            if producer_id not in model.open:
                continue
            first = model.open.pop(producer_id)
            epoch = model.history[producer_id][-1][0]
            completed = end(state, commit=commit, epoch=epoch, producer_id=producer_id)
            stable = min(model.open.values(), default=model.end + 1)
            assert completed == CompletedTxn(producer_id, first, model.end, stable, not commit)
            model.end += 1
        assert state.first_undecided_offset == min(model.open.values(), default=None)
        assert state.map_end_offset == model.end
