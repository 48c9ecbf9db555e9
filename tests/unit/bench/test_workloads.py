"""The table of workloads is whole, and a name finds what it says."""

from __future__ import annotations

import pytest
from bench import floor, rdkafka
from bench.compare import QUICK, arguments
from bench.workloads import WORKLOADS, chosen


def test_names_are_unique() -> None:
    names = [each.name for each in WORKLOADS]
    assert len(names) == len(set(names))


def test_subject_chooses_its_own_and_a_part_of_a_name_those_with_it() -> None:
    assert {each.subject for each in chosen(["produce"], quick=False)} == {"produce"}
    assert [each.name for each in chosen(["zstd"], quick=False)] == [
        "produce 1 KB, batch 16 KB, acks 1, zstd"
    ]
    twice = chosen(["zstd", "produce"], quick=False)
    assert len(twice) == len(chosen(["produce"], quick=False))


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no workload is called 'nothing'"):
        chosen(["nothing"], quick=False)


def test_short_form_covers_every_path_of_data() -> None:
    short = chosen([], quick=True)
    assert {"produce", "consume", "latency", "requests"} <= {each.subject for each in short}
    assert len(short) < len(chosen([], quick=False)) / 2
    assert any(not each.java for each in short if each.subject == "produce")
    assert QUICK.rounds >= 3


def test_payloads_are_the_same_in_every_run_and_not_all_alike() -> None:
    values = rdkafka.values(1024)
    assert values == rdkafka.values(1024)
    assert {len(value) for value in values} == {1024}
    assert len(set(values)) == len(values)
    assert not any(b"\n" in value for value in values)


def test_floor_moves_every_byte() -> None:
    assert floor.produce(4 << 20, 16_384) > 0
    assert floor.consume(3_000_001) > 0


def test_diff_takes_a_revision_first() -> None:
    options = arguments("diff").parse_args(["HEAD~1", "produce", "--rounds", "5"])
    assert (options.revision, options.workloads, options.rounds) == ("HEAD~1", ["produce"], 5)
