"""What a leader checks of produced records' timestamps, and the latest that it finds among them."""

import pytest

from ottla.protocol.errors import ErrorCode
from ottla.records.batch import (
    MAX_TIMESTAMP,
    TimestampType,
    parse_header,
)
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.records.compression import Codec
from ottla.records.validation import MAX_RECORD_ERRORS, RecordValidationError, ValidationOptions

from .produced import (
    COMPACTED,
    DEFAULT,
    HOUR,
    LOG_APPEND,
    MIB,
    NOW,
    RECORDS,
    accepted,
    options_with,
    patched,
    payload_batch,
    refusal,
)


@pytest.mark.parametrize("codec", [Codec.none, Codec.snappy])
def test_timestamps_are_held_to_their_bounds(codec: Codec) -> None:
    options = options_with(timestamp_before_max_ms=1000, timestamp_after_max_ms=500)
    in_bounds = [Record(0, NOW - 1000, None, b""), Record(1, NOW + 500, None, b""), Record(2, -1, None, b"")]
    accepted(encode_batch(in_bounds, codec=codec), options)
    outside = [*in_bounds, Record(3, NOW - 1001, None, b""), Record(4, NOW + 501, None, b"")]
    error = refusal(encode_batch(outside, codec=codec), options)
    assert isinstance(error, RecordValidationError)
    assert error.code == ErrorCode.invalid_timestamp
    assert [index for index, _ in error.record_errors] == [3, 4]


def test_the_default_refuses_the_far_future_only() -> None:
    accepted(encode_batch([Record(0, 0, None, b""), Record(1, NOW + HOUR, None, b"")]))
    error = refusal(encode_batch([Record(0, NOW, None, b""), Record(1, NOW + HOUR + 1, None, b"")]))
    assert isinstance(error, RecordValidationError)
    assert [index for index, _ in error.record_errors] == [1]


def test_records_without_timestamp_are_taken() -> None:
    options = options_with(timestamp_before_max_ms=1000)
    result, _ = accepted(encode_batch([Record(0, -1, None, b""), Record(1, -1, None, b"")]), options)
    assert result.header.max_timestamp == -1


def test_a_bad_timestamp_outweighs_a_missing_key() -> None:
    records = [Record(0, NOW, None, b""), Record(1, NOW + 2 * HOUR, b"k", b"")]
    error = refusal(encode_batch(records), COMPACTED)
    assert isinstance(error, RecordValidationError)
    assert error.code == ErrorCode.invalid_timestamp
    assert [index for index, _ in error.record_errors] == [0, 1]


def test_reported_records_are_bounded() -> None:
    error = refusal(
        encode_batch([Record(i, NOW, None, b"") for i in range(MAX_RECORD_ERRORS + 50)]), COMPACTED
    )
    assert isinstance(error, RecordValidationError)
    assert len(error.record_errors) == MAX_RECORD_ERRORS


@pytest.mark.parametrize("codec", list(Codec))
def test_every_timestamp_is_looked_at(codec: Codec) -> None:
    """Not only what the header says is the latest: some clients say the last record's there."""
    times = (NOW, NOW + 120_000, NOW + 60_000)
    data = encode_batch([Record(i, at, None, b"") for i, at in enumerate(times)], codec=codec)
    result, batch = accepted(patched(data, (MAX_TIMESTAMP, times[2].to_bytes(8, "big"))))
    assert result.header.max_timestamp == times[1]
    assert batch == data
    ten_days = (NOW, NOW + 240 * HOUR, NOW + 1)
    data = encode_batch([Record(i, at, None, b"") for i, at in enumerate(ten_days)], codec=codec)
    error = refusal(patched(data, (MAX_TIMESTAMP, ten_days[2].to_bytes(8, "big"))))
    assert isinstance(error, RecordValidationError)
    assert error.code == ErrorCode.invalid_timestamp
    assert [index for index, _ in error.record_errors] == [1]


@pytest.mark.parametrize("codec", [Codec.none, Codec.gzip])
@pytest.mark.parametrize("said", [0, -1, NOW - 1, NOW + 1, NOW + 240 * HOUR, 2**63 - 1])
def test_the_latest_timestamp_may_be_the_first(codec: Codec, said: int) -> None:
    for times in ((NOW,), (NOW, NOW), (NOW, NOW - 1)):
        data = encode_batch([Record(i, at, None, b"") for i, at in enumerate(times)], codec=codec)
        assert parse_header(data).max_timestamp == parse_header(data).base_timestamp
        assert accepted(data)[1] == data
        false = patched(data, (MAX_TIMESTAMP, said.to_bytes(8, "big", signed=True)))
        assert accepted(false)[1] == data


@pytest.mark.parametrize("codec", [Codec.none, Codec.gzip])
@pytest.mark.parametrize(
    "options", [DEFAULT, options_with(timestamp_before_max_ms=0, timestamp_after_max_ms=0)]
)
def test_a_timestamp_exactly_at_its_limit_is_taken(codec: Codec, options: ValidationOptions) -> None:
    latest = NOW + options.timestamp_after_max_ms
    earliest = max(NOW - options.timestamp_before_max_ms, -(2**63))
    for at in (latest, earliest):
        data = encode_batch([Record(0, NOW, None, b""), Record(1, at, None, b"")], codec=codec)
        assert accepted(data, options)[1] == data
    for at in (latest + 1, earliest - 1):
        data = encode_batch([Record(0, NOW, None, b""), Record(1, at, None, b"")], codec=codec)
        error = refusal(data, options)
        assert isinstance(error, RecordValidationError)
        assert error.code == ErrorCode.invalid_timestamp
        assert [index for index, _ in error.record_errors] == [1]
        assert f"[{earliest}, {latest}]" in error.record_errors[0][1]


def test_timestamps_below_zero() -> None:
    """Kafka takes them where there is no limit on old ones, and knows no maximum then."""
    data = encode_batch([Record(0, -5, None, b""), Record(1, -2, None, b"")])
    assert accepted(data)[0].header.max_timestamp == -1
    assert refusal(data, options_with(timestamp_before_max_ms=1000)).code == ErrorCode.invalid_timestamp


@pytest.mark.parametrize("codec", [Codec.none, Codec.gzip])
def test_log_append_time_set_by_clients(codec: Codec) -> None:
    """Kafka refuses it of topics that use it, and takes the batch for one of create time in others."""
    data = encode_batch(RECORDS, codec=codec, timestamp_type=TimestampType.log_append_time)
    error = refusal(data, LOG_APPEND)
    assert isinstance(error, RecordValidationError)
    assert error.code == ErrorCode.invalid_timestamp
    assert [index for index, _ in error.record_errors] == list(range(len(RECORDS)))
    assert accepted(data)[1] == encode_batch(RECORDS, codec=codec)


@pytest.mark.parametrize("said", [-1, NOW - 1001, NOW + 501])
def test_log_append_times_out_of_bounds(said: int) -> None:
    options = options_with(timestamp_before_max_ms=1000, timestamp_after_max_ms=500)
    records = [Record(0, NOW - 1000, None, b""), Record(1, NOW + 500, None, b"")]
    data = encode_batch(records, timestamp_type=TimestampType.log_append_time, max_timestamp=said)
    error = refusal(data, options)
    assert isinstance(error, RecordValidationError)
    assert error.code == ErrorCode.invalid_timestamp
    assert [index for index, _ in error.record_errors] == [0, 1]
    for within in (NOW - 1000, NOW + 500):
        accepted(patched(data, (MAX_TIMESTAMP, within.to_bytes(8, "big"))), options)


def test_timestamps_behind_a_log_append_time() -> None:
    """They are the records' own once the batch is one of create time."""
    data = encode_batch(
        [Record(0, NOW, None, b""), Record(1, NOW + 2 * HOUR, None, b"")],
        timestamp_type=TimestampType.log_append_time,
        max_timestamp=NOW,
    )
    error = refusal(data)
    assert isinstance(error, RecordValidationError)
    assert [index for index, _ in error.record_errors] == [1]


@pytest.mark.parametrize("codec", list(Codec))
def test_a_false_max_timestamp_is_put_right(codec: Codec) -> None:
    data = encode_batch(RECORDS, codec=codec)
    false = patched(data, (MAX_TIMESTAMP, (NOW - 1).to_bytes(8, "big")))
    _, batch = accepted(false)
    assert batch == data


def test_timestamps_over_64_bits_are_refused() -> None:
    unlimited = options_with(timestamp_after_max_ms=2**63 - 1)
    above = payload_batch(b"\x1e\0" + b"\xfe" + b"\xff" * 8 + b"\x01" + b"\0\0\x01\0", 1)
    below = payload_batch(b"\x1e\0" + b"\xff" * 9 + b"\x01" + b"\0\0\x01\0", 1, timestamp=-2)
    for data in (above, below):
        error = refusal(data, unlimited)
        assert isinstance(error, RecordValidationError)
        assert error.code == ErrorCode.invalid_timestamp
        _, batch = accepted(data, LOG_APPEND)
        assert decode_batch(batch, max_bytes=MIB) == [Record(0, NOW, b"", None)]
    accepted(encode_batch([Record(0, 2**63 - 1, None, b"")]), unlimited)


@pytest.mark.parametrize("codec", list(Codec))
def test_log_append_time_is_written_by_the_broker(codec: Codec) -> None:
    future = [record._replace(timestamp=NOW + 9 * HOUR) for record in RECORDS]
    result, batch = accepted(
        encode_batch(future, codec=codec, producer_id=1, producer_epoch=0, base_sequence=3), LOG_APPEND
    )
    assert result.log_append_time_ms == NOW
    assert result.header.max_timestamp == NOW
    assert result.header.timestamp_type is TimestampType.log_append_time
    assert (result.header.codec, result.header.base_sequence) == (codec, 3)
    assert decode_batch(batch, max_bytes=MIB) == [record._replace(timestamp=NOW) for record in RECORDS]
