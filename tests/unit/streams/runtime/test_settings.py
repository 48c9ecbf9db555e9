"""Settings: Kafka Streams' names, taken apart for whom they are."""

from __future__ import annotations

from typing import Any

import pytest

from ottla.client.errors import ConfigurationError
from ottla.streams.runtime.settings import read_config

BASE = {"application_id": "app", "bootstrap_servers": "h:1"}


def test_each_setting_goes_where_it_belongs() -> None:
    config = read_config(
        {
            **BASE,
            "num.stream.threads": 3,
            "session_timeout_ms": 9_000,
            "linger_ms": 7,
            "producer.linger.ms": 8,
            "consumer.max.poll.records": 5,
            "main.consumer.max.poll.records": 6,
            "restore.consumer.fetch.max.bytes": 10,
            "topic.segment.bytes": 100,
            "client.tag.zone": "north",
            "rack.aware.assignment.tags": "zone,cluster",
        }
    )
    assert config.streams.num_stream_threads == 3
    assert config.client.bootstrap_servers == ("h:1",)
    assert config.consumer == {"session.timeout.ms": 9_000, "max.poll.records": 6}
    assert config.restore_consumer == {
        "session.timeout.ms": 9_000,
        "max.poll.records": 5,
        "fetch.max.bytes": 10,
    }
    assert config.producer == {"linger.ms": 8}
    assert config.topic == {"segment.bytes": "100"}
    assert config.tags == {"zone": "north"}
    assert config.streams.rack_aware_assignment_tags == ("zone", "cluster")


def test_the_interval_of_commits_follows_from_the_guarantee() -> None:
    assert read_config(BASE).streams.commit_interval_ms == 30_000
    exact: dict[str, Any] = {**BASE, "processing_guarantee": "exactly_once_v2"}
    assert read_config(exact).streams.commit_interval_ms == 100
    assert read_config({**exact, "commit_interval_ms": 5}).streams.commit_interval_ms == 5


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"application_id": ""}, "application.id is missing"),
        ({"application_id": "a/b"}, "no name of a folder"),
        ({"group_id": "g"}, "group.id is what streams set themselves"),
        ({"producer.transactional.id": "t"}, "set themselves"),
        ({"num_stream_thread": 1}, "did you mean num.stream.threads"),
        ({"processing_guarantee": "exactly_once"}, "exactly_once_v2"),
        ({"processing_exception_handler": "ignore"}, "fail"),
    ],
)
def test_wrong_settings_are_refused(more: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        read_config({**BASE, **more})
