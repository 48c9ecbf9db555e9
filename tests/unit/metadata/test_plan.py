import pytest

from ottla.metadata.plan import Changes, check_partition_count
from ottla.metadata.transaction import BYTES_MAX, OPERATIONS_MAX, Compare, Put
from ottla.protocol.errors import ErrorCode, KafkaError


def put(number, size):
    key = f"/{number}"
    return Put(key, bytes(size - len(key)))


def steps(*items):
    """The items of each step, for items of so many comparisons and writes of these sizes."""
    changes = Changes()
    for number, (compares, sizes) in enumerate(items):
        changes.add(
            number,
            [Compare.absent(f"/{number}/{each}") for each in range(compares)],
            [put(f"{number}/{each}", size) for each, size in enumerate(sizes)],
        )
    return [step.items for step in changes.steps()]


def test_an_item_as_large_as_a_transaction_is_taken_and_a_larger_one_refused():
    assert steps((0, [BYTES_MAX])) == [(0,)]
    with pytest.raises(KafkaError) as refused:
        steps((0, [BYTES_MAX + 1]))
    assert refused.value.code is ErrorCode.policy_violation


def test_a_step_is_filled_to_the_last_byte():
    half = BYTES_MAX // 2
    assert steps((1, [half]), (1, [half])) == [(0, 1)]
    assert steps((1, [half]), (1, [half + 1])) == [(0,), (1,)]
    assert steps((1, [BYTES_MAX]), (1, [half]), (1, [half])) == [(0,), (1, 2)]
    assert steps((1, [BYTES_MAX]), (1, [half]), (1, [half + 1])) == [(0,), (1,), (2,)]


def test_a_step_is_filled_to_the_last_operation():
    half = OPERATIONS_MAX // 2
    assert steps((1, [9] * half), (1, [9] * half)) == [(0, 1)]
    assert steps((1, [9] * half), (1, [9] * (half + 1))) == [(0,), (1,)]
    assert steps((half, [9]), (half, [9])) == [(0, 1)]
    assert steps((half, [9]), (half + 1, [9])) == [(0,), (1,)]


def test_a_request_may_name_ten_thousand_partitions():
    check_partition_count(10_000)
    with pytest.raises(KafkaError, match="Excessively large"):
        check_partition_count(10_001)
