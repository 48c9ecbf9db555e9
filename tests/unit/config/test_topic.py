import pytest

from ottla.config.broker import broker_config
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.config.topic import LONG_MAX, TOPIC_CONFIGS, TopicConfig, topic_config


def config(**static):
    return broker_config(BrokerLayers(static={name.replace("_", "."): text for name, text in static.items()}))


def test_every_topic_key_has_its_field():
    keys = {entry.field for entry in TOPIC_CONFIGS.values() if entry.honoured and not entry.internal}
    assert keys == set(TopicConfig._fields)


def test_defaults_are_kafkas():
    defaults = topic_config({}, config())
    assert defaults.retention_ms == 604_800_000
    assert defaults.retention_bytes == -1
    assert defaults.segment_bytes == 1 << 30
    assert defaults.segment_ms == 604_800_000
    assert defaults.flush_ms == LONG_MAX
    assert defaults.max_message_bytes == 1_048_588
    assert defaults.cleanup_policy == frozenset({"delete"})
    assert defaults.delete
    assert not defaults.compact


def test_topics_without_overrides_share_one_object():
    broker = config()
    assert topic_config({}, broker) is topic_config({}, broker)


def test_overrides_win_over_the_brokers_defaults():
    broker = config(log_retention_ms="5000", log_segment_bytes="2097152")
    topic = topic_config({"retention.ms": "7", "cleanup.policy": "compact,delete"}, broker)
    assert (topic.retention_ms, topic.segment_bytes) == (7, 2_097_152)
    assert topic.compact
    assert topic.delete


@pytest.mark.parametrize(
    ("static", "retention_ms"),
    [
        ({"log.retention.hours": "2"}, 7_200_000),
        ({"log.retention.hours": "2", "log.retention.minutes": "3"}, 180_000),
        ({"log.retention.hours": "2", "log.retention.minutes": "3", "log.retention.ms": "4"}, 4),
        ({"log.retention.hours": "-1"}, -1),
    ],
)
def test_the_finest_unit_of_retention_wins(static, retention_ms):
    assert broker_config(BrokerLayers(static=static)).topic_defaults.retention_ms == retention_ms


def test_flush_ms_falls_back_on_the_scheduler_interval():
    assert config(log_flush_scheduler_interval_ms="250").topic_defaults.flush_ms == 250


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"retention.msx": "1"}, "Unknown topic config name: retention.msx"),
        (
            {"retention.ms": "-2"},
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        ({"segment.bytes": "1024"}, "Value must be at least 1048576"),
        ({"cleanup.policy": "remove"}, "String must be one of: compact, delete"),
        ({"min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1"}, "min.compaction.lag.ms (2) >"),
        ({"remote.storage.enable": "true"}, "There is no tiered storage here"),
        ({"follower.replication.throttled.replicas": "1-2"}, "partition:broker pairs"),
        ({"compression.gzip.level": "0"}, "Value must be at least 1 or equal to -1"),
        ({"compression.type": "lzma"}, "uncompressed, zstd, lz4, snappy, gzip, producer"),
    ],
)
def test_refuses_wrong_overrides(overrides, message):
    with pytest.raises(ConfigError) as refused:
        topic_config(overrides, config())
    assert message in refused.value.message


def test_a_broker_default_that_the_topic_key_refuses_stops_the_start():
    with pytest.raises(ConfigError, match=r"Invalid value 0 for configuration log\.roll\.ms"):
        config(log_roll_ms="0")


def test_internal_segment_bytes_goes_below_the_lower_bound():
    assert topic_config({"internal.segment.bytes": "300"}, config()).segment_bytes == 300


def test_a_compacted_topic_rolls_within_its_max_compaction_lag():
    overrides = {"cleanup.policy": "compact", "max.compaction.lag.ms": "9", "segment.ms": "100"}
    assert topic_config(overrides, config()).max_segment_ms == 9
    assert topic_config({**overrides, "cleanup.policy": "delete"}, config()).max_segment_ms == 100


def test_an_empty_cleanup_policy_keeps_everything():
    topic = topic_config({"cleanup.policy": ""}, config())
    assert topic.cleanup_policy == frozenset()


@pytest.mark.parametrize(("codec", "level"), [("gzip", -1), ("lz4", 9), ("zstd", 3), ("snappy", None)])
def test_compression_level_is_that_of_the_topics_codec(codec, level):
    assert topic_config({"compression.type": codec}, config()).compression_level == level
