"""When and how far a log is cleaned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.config.broker import broker_config
from ottla.config.topic import TopicConfig, topic_config
from ottla.storage.cleaner.policy import (
    CleaningFacts,
    CleaningPlan,
    SegmentFacts,
    filthiest,
    group_segments,
    plan_cleaning,
)

NOW_MS = 1_000_000


def config(**overrides: object) -> TopicConfig:
    broker = broker_config()
    names = {key.replace("_", "."): str(value) for key, value in overrides.items()}
    return topic_config({"cleanup.policy": "compact", **names}, broker)


def segment(base_offset: int, size: int = 100, timestamp: int = 500_000) -> SegmentFacts:
    return SegmentFacts(base_offset, size, timestamp, timestamp, timestamp)


FACTS = CleaningFacts(
    directory="t-0",
    generation=0,
    segments=(segment(0), segment(10), segment(20)),
    active_base_offset=30,
    log_start_offset=0,
    log_end_offset=35,
    high_watermark=35,
    last_stable_offset=35,
    last_records={},
    config=config(),
)


def measure(plan: CleaningPlan) -> tuple[int, int, int, int]:
    return plan.first_dirty_offset, plan.end_offset, plan.clean_bytes, plan.cleanable_bytes


def test_a_log_never_cleaned_is_all_dirty_but_the_active_segment() -> None:
    plan = plan_cleaning(FACTS, None, NOW_MS)
    assert measure(plan) == (0, 30, 0, 300)
    assert plan.dirty_ratio == 1.0
    assert plan.is_due


@pytest.mark.parametrize(("checkpoint", "due"), [(10, True), (20, False), (30, False)])
def test_cleaning_waits_for_the_dirty_share(checkpoint: int, due: bool) -> None:
    plan = plan_cleaning(FACTS, checkpoint, NOW_MS)
    assert measure(plan) == (checkpoint, 30, checkpoint * 10, 300 - checkpoint * 10)
    assert plan.is_due is due


@pytest.mark.parametrize("limit", ["high_watermark", "last_stable_offset"])
@pytest.mark.parametrize(("offset", "end"), [(35, 30), (29, 20), (20, 20), (19, 10), (5, 0)])
def test_what_is_not_stable_stays_and_segments_are_taken_whole(limit: str, offset: int, end: int) -> None:
    plan = plan_cleaning(FACTS._replace(**{limit: offset}), None, NOW_MS)
    assert measure(plan) == (0, end, 0, end * 10)
    assert plan.is_due is (end > 0)


@pytest.mark.parametrize(
    ("lag", "end"), [(0, 30), (10, 30), (500, 30), (501, 20), (600, 20), (701, 10), (900, 10), (901, 0)]
)
def test_segments_younger_than_the_minimum_lag_stay(lag: int, end: int) -> None:
    segments = (segment(0, timestamp=NOW_MS - 900), segment(10, timestamp=NOW_MS - 700))
    facts = FACTS._replace(
        segments=(*segments, segment(20, timestamp=NOW_MS - 500)),
        config=config(min_compaction_lag_ms=lag),
    )
    assert plan_cleaning(facts, None, NOW_MS).end_offset == end


def test_without_timestamps_the_file_says_how_old_a_segment_is() -> None:
    young = SegmentFacts(10, 100, modified_ms=NOW_MS - 5, first_timestamp=-1, largest_timestamp=-1)
    facts = FACTS._replace(segments=(segment(0), young), config=config(min_compaction_lag_ms=100))
    assert plan_cleaning(facts, None, NOW_MS).end_offset == 10


def test_the_maximum_lag_overrides_the_share() -> None:
    old = FACTS._replace(config=config(max_compaction_lag_ms=NOW_MS - 500_001))
    plan = plan_cleaning(old, 20, NOW_MS)
    assert plan.dirty_ratio < 0.5
    assert plan.is_due
    assert not plan_cleaning(old._replace(config=config(max_compaction_lag_ms=500_000)), 20, NOW_MS).is_due
    assert not plan_cleaning(old, 30, NOW_MS).is_due


@pytest.mark.parametrize(("checkpoint", "start"), [(5, 10), (36, 10)])
def test_a_checkpoint_outside_of_the_log_starts_over(checkpoint: int, start: int) -> None:
    plan = plan_cleaning(FACTS._replace(log_start_offset=start), checkpoint, NOW_MS)
    assert (plan.first_dirty_offset, plan.is_checkpoint_reset) == (start, True)


def test_a_log_of_one_segment_has_nothing_to_clean() -> None:
    plan = plan_cleaning(FACTS._replace(segments=(), active_base_offset=0), None, NOW_MS)
    assert measure(plan) == (0, 0, 0, 0)
    assert plan.dirty_ratio == 0.0
    assert not plan.is_due


def test_the_dirtiest_of_those_due_is_taken() -> None:
    plans = [plan_cleaning(FACTS, checkpoint, NOW_MS) for checkpoint in (20, 10, 0)]
    assert filthiest(plans) is plans[2]
    assert filthiest(plans[:2]) is plans[1]
    assert filthiest(plans[:1]) is None
    assert filthiest([]) is None


class TestGroups:
    def bases(self, *segments: SegmentFacts, limit: int = 250, end: int = 100) -> list[list[int]]:
        return [[s.base_offset for s in group] for group in group_segments(segments, limit, end)]

    def test_neighbours_share_a_segment_while_they_fit(self) -> None:
        segments = [segment(i * 10, size) for i, size in enumerate((100, 100, 100, 300, 10, 0))]
        assert self.bases(*segments) == [[0, 10], [20], [30], [40, 50]]
        assert self.bases(segment(0, 125), segment(10, 125), segment(20, 1)) == [[0, 10], [20]]

    def test_offsets_must_fit_into_the_indexes(self) -> None:
        far = 2**31
        assert self.bases(segment(0), segment(5), segment(far), end=far + 1) == [[0, 5], [far]]
        assert self.bases(segment(0), segment(5), end=far) == [[0, 5]]
        assert self.bases(segment(0), segment(5), end=far + 1) == [[0], [5]]
        assert self.bases(segment(0, 9), segment(5, 9), segment(far, 9), end=far + 9) == [[0, 5], [far]]
        assert self.bases(segment(0, 9), segment(5, 9), segment(far + 1, 9), end=far + 4) == [
            [0],
            [5, far + 1],
        ]

    @given(st.lists(st.integers(0, 300), max_size=12))
    def test_all_segments_stay_in_order(self, sizes: list[int]) -> None:
        segments = [segment(i, size) for i, size in enumerate(sizes)]
        groups = group_segments(segments, 250, 100)
        assert [s for group in groups for s in group] == segments
        assert all(len(group) == 1 or sum(s.size for s in group) <= 250 for group in groups)
