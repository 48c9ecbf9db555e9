"""Subscriptions by pattern: resolved against the image, kept, refreshed, forgotten."""

from __future__ import annotations

import pytest

from ottla.protocol.errors import ErrorCode


@pytest.fixture
def topics(new_cluster, new_image):
    return new_cluster(new_image(foo_a=2, foo_b=2, bar=2))


def test_a_pattern_is_assigned_like_its_topics(topics):
    a = topics.member("a", regex="foo-.*")
    assert a.owned == {"foo-a": {0, 1}, "foo-b": {0, 1}}
    assert topics.group.is_subscribed_to_topic("foo-b")
    assert not topics.group.is_subscribed_to_topic("bar")
    topics.check_replay()


def test_a_pattern_adds_to_names(topics):
    a = topics.member("a", "bar", regex=".*-a")
    assert set(a.owned) == {"bar", "foo-a"}


def test_patterns_that_match_alike_are_still_one_subscription_each(topics):
    a, b = topics.member("a", regex="foo-."), topics.member("b", regex="foo.*")
    for member in (a, b, a, b):
        member.beat()
    assert (a.count, b.count) == (2, 2)
    assert set(topics.group.resolved_regexes) == {"foo-.", "foo.*"}
    b.leave()
    assert set(topics.group.resolved_regexes) == {"foo-."}
    topics.check_replay()


def test_new_topics_reach_a_pattern_within_ten_seconds(topics):
    a = topics.member("a", regex="foo-.*")
    a.beat()
    topics.set_topics(foo_a=2, foo_b=2, foo_c=1, bar=2)
    a.beat()
    assert "foo-c" not in a.owned
    topics.advance(10_000)
    a.beat()
    assert set(a.owned) == {"foo-a", "foo-b", "foo-c"}
    topics.check_replay()


def test_new_topics_reach_a_pattern_also_when_the_time_of_day_was_set_back(topics):
    a = topics.member("a", regex="foo-.*")
    topics.now_ms -= 3_600_000
    topics.set_topics(foo_a=2, foo_b=2, foo_c=1, bar=2)
    a.beat()
    assert "foo-c" in a.owned


def test_a_refresh_that_could_not_be_written_is_repeated(topics):
    a = topics.member("a", regex="foo-.*")
    topics.set_topics(foo_a=2, foo_b=2, foo_c=1)
    topics.append_error = ErrorCode.kafka_storage_error
    a.beat()
    topics.append_error = None
    a.beat()
    assert "foo-c" in a.owned


def test_changing_and_dropping_the_pattern(topics):
    a = topics.member("a", regex="foo-.*")
    a.beat(regex="bar")
    assert not a.owned, "what it loses comes first"
    a.beat()
    assert a.owned == {"bar": {0, 1}}
    assert set(topics.group.resolved_regexes) == {"bar"}
    a.beat(regex="")
    a.beat()
    assert not a.owned
    assert not topics.group.resolved_regexes
    assert topics.group.state_name == "Stable"
    topics.check_replay()


def test_an_invalid_change_is_refused_and_changes_nothing(topics):
    a = topics.member("a", regex="foo-.*")
    written = len(topics.log)
    assert a.beat(regex="foo-[")["error_code"] is ErrorCode.invalid_regular_expression
    assert len(topics.log) == written
    assert a.beat()["error_code"] is ErrorCode.none
