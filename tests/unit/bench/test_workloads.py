"""The table of workloads is whole, and a name finds what it says."""

from __future__ import annotations

import pytest
from bench import floor, load
from bench.compare import arguments
from bench.run import DEFAULT, FULL, QUICK
from bench.workloads import WORKLOADS, chosen, produce


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
    assert QUICK.estimate_s(short) < 3 * 60


def test_full_form_measures_every_row_five_times_within_an_hour() -> None:
    assert (FULL.scale, FULL.rounds) == (1, 5)
    assert FULL.estimate_s(chosen([], quick=False)) < 58 * 60
    assert DEFAULT.estimate_s(chosen([], quick=False)) < FULL.estimate_s(chosen([], quick=False))


def test_every_rate_has_its_floor() -> None:
    rates = [each for each in WORKLOADS if each.subject in {"produce", "consume"}]
    assert [each.name for each in rates if each.floor is None] == []


def test_floor_of_a_codec_moves_what_it_leaves() -> None:
    # Random capital letters: entropy coding takes nearly half, matches are not to be found.
    assert produce.compressed_share("none", 1024) == 1
    assert produce.compressed_share("gzip", 1024) == pytest.approx(0.6, abs=0.05)
    assert produce.compressed_share("zstd", 1024) == pytest.approx(0.6, abs=0.05)
    assert produce.compressed_share("snappy", 1024) == pytest.approx(1, abs=0.05)
    assert produce.compressed_share("lz4", 1024) == pytest.approx(1, abs=0.05)


def test_payloads_are_the_same_in_every_run_and_not_all_alike() -> None:
    values = load.values(1024)
    assert values == load.values(1024)
    assert {len(value) for value in values} == {1024}
    assert len(set(values)) == len(values)
    assert all(value.isalpha() and value.isupper() for value in values)


def test_floor_moves_every_byte() -> None:
    assert floor.produce(4 << 20, 16_384) > 0
    assert floor.consume(3_000_001) > 0
    assert floor.answer(100, 3) > 0


def test_floor_is_measured_once_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = iter((100.0, 200.0, 300.0))
    monkeypatch.setattr(floor, "produce", lambda *_: next(rates))
    floor.produce_rate.cache_clear()
    try:
        found = [floor.produce_rate(16_384, number)["MB/s"] for number in (0, 0, 1, 1)]
        assert (found, floor.produce_rate(1_000_000, 0)) == ([100, 100, 200, 200], {"MB/s": 300})
    finally:
        floor.produce_rate.cache_clear()


def test_diff_takes_what_it_compares_with_first() -> None:
    options = arguments("diff").parse_args(["HEAD~1", "produce", "--rounds", "5"])
    assert (options.other, options.workloads, options.rounds) == ("HEAD~1", ["produce"], 5)
