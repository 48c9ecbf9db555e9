import pytest

from ottla.config.definition import ConfigType
from ottla.config.effective import (
    ConfigSynonym,
    describe_broker,
    describe_cluster_default,
    describe_group,
    describe_topic,
)
from ottla.config.layers import BrokerLayers, ConfigSource


def entry(entries, name):
    return next(entry for entry in entries if entry.name == name)


def test_a_topic_key_lists_override_layers_and_default():
    layers = BrokerLayers(
        static={"log.segment.bytes": "2097152"}, dynamic_default={"log.segment.bytes": "3145728"}
    )
    segment = entry(describe_topic({"segment.bytes": "4194304"}, layers), "segment.bytes")
    assert (segment.value, segment.source) == ("4194304", ConfigSource.DYNAMIC_TOPIC_CONFIG)
    assert segment.type is ConfigType.INT
    assert not segment.read_only
    assert segment.synonyms == (
        ConfigSynonym("segment.bytes", "4194304", ConfigSource.DYNAMIC_TOPIC_CONFIG),
        ConfigSynonym("log.segment.bytes", "3145728", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG),
        ConfigSynonym("log.segment.bytes", "2097152", ConfigSource.STATIC_BROKER_CONFIG),
        ConfigSynonym("log.segment.bytes", "1073741824", ConfigSource.DEFAULT_CONFIG),
    )


def test_a_topic_without_overrides_shows_the_brokers_value():
    layers = BrokerLayers(static={"log.retention.hours": "1", "message.max.bytes": "10"})
    entries = describe_topic({}, layers)
    assert entry(entries, "retention.ms").value == "3600000"
    message = entry(entries, "max.message.bytes")
    assert (message.value, message.source) == ("10", ConfigSource.STATIC_BROKER_CONFIG)
    untouched = entry(entries, "cleanup.policy")
    assert (untouched.value, untouched.source) == ("delete", ConfigSource.DEFAULT_CONFIG)
    assert [each.name for each in entries] == sorted(each.name for each in entries)
    assert "internal.segment.bytes" not in {each.name for each in entries}


def test_values_are_shown_as_they_are_parsed():
    shown = describe_topic({"preallocate": " TRUE", "cleanup.policy": "compact, delete"}, BrokerLayers())
    assert entry(shown, "preallocate").value == "true"
    assert entry(shown, "cleanup.policy").value == "compact,delete"
    assert entry(shown, "min.cleanable.dirty.ratio").value == "0.5"


def test_a_broker_key_says_whether_it_can_change_and_where_it_comes_from():
    layers = BrokerLayers(
        static={"log.retention.hours": "1", "node.id": "5"}, dynamic={"log.retention.ms": "7"}
    )
    entries = describe_broker(layers)
    retention = entry(entries, "log.retention.ms")
    assert (retention.value, retention.source) == ("7", ConfigSource.DYNAMIC_BROKER_CONFIG)
    assert not retention.read_only
    assert [synonym.name for synonym in retention.synonyms] == [
        "log.retention.ms",
        "log.retention.hours",
        "log.retention.hours",
    ]
    assert entry(entries, "broker.id").value == "5"
    assert entry(entries, "node.id").read_only
    assert entry(entries, "log.retention.minutes").value is None
    assert entry(entries, "ottla.request.max.bytes").value == "2097152"


def test_passwords_are_never_shown():
    secret = entry(describe_broker(BrokerLayers(static={"ssl.key.password": "hunter2"})), "ssl.key.password")
    assert secret.is_sensitive
    assert secret.value is None
    assert secret.source is ConfigSource.STATIC_BROKER_CONFIG
    assert all(synonym.value is None for synonym in secret.synonyms)


def test_the_cluster_default_lists_dynamic_defaults_only():
    layers = BrokerLayers(static={"max.connections": "1"}, dynamic_default={"log.retention.ms": "7"})
    (only,) = describe_cluster_default(layers)
    assert (only.name, only.value) == ("log.retention.ms", "7")
    assert only.source is ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG


def test_a_group_key_falls_back_on_the_brokers():
    layers = BrokerLayers(static={"group.consumer.session.timeout.ms": "50000"})
    entries = describe_group({"consumer.heartbeat.interval.ms": "6000"}, layers)
    session = entry(entries, "consumer.session.timeout.ms")
    assert (session.value, session.source) == ("50000", ConfigSource.STATIC_BROKER_CONFIG)
    heartbeat = entry(entries, "consumer.heartbeat.interval.ms")
    assert (heartbeat.value, heartbeat.source) == ("6000", ConfigSource.GROUP_CONFIG)


@pytest.mark.parametrize("layer", ["static", "dynamic"])
def test_names_that_nobody_here_has_are_described_as_secrets(layer):
    layers = BrokerLayers(**{layer: {"my.plugin.password": "hunter2"}})
    unknown = entry(describe_broker(layers), "my.plugin.password")
    assert (unknown.value, unknown.is_sensitive, unknown.read_only) == (None, True, True)
    assert unknown.type is ConfigType.UNKNOWN
    (source,) = unknown.synonyms
    assert (source.name, source.value) == ("my.plugin.password", None)
    assert "my.plugin.password" not in {each.name for each in describe_broker(BrokerLayers())}


def test_a_listeners_own_setting_is_described_with_that_of_all():
    name = "listener.name.outside.max.connections"
    shown = entry(describe_broker(BrokerLayers(static={name: " 7", "max.connections": "9"})), name)
    assert (shown.value, shown.read_only, shown.type) == ("7", True, ConfigType.INT)
    assert [(each.name, each.value) for each in shown.synonyms] == [
        (name, " 7"),
        ("max.connections", "9"),
        ("max.connections", "2147483647"),
    ]
    jaas = "listener.name.outside.plain.sasl.jaas.config"
    assert entry(describe_broker(BrokerLayers(static={jaas: "secret"})), jaas).is_sensitive


def test_the_cluster_default_has_unknown_names_too():
    layers = BrokerLayers(dynamic_default={"my.plugin": "1", "listener.name.x.max.connections": "5"})
    shown = describe_cluster_default(layers)
    assert [(each.name, each.value, len(each.synonyms)) for each in shown] == [
        ("listener.name.x.max.connections", "5", 1),
        ("my.plugin", None, 1),
    ]


def test_internal_keys_are_described_when_they_are_set():
    name = "unstable.api.versions.enable"
    assert name not in {each.name for each in describe_broker(BrokerLayers())}
    assert entry(describe_broker(BrokerLayers(static={name: "true"})), name).value == "true"


def test_a_groups_keys_have_a_default_behind_them():
    entries = describe_group({"share.isolation.level": "read_committed"}, BrokerLayers())
    expected = {
        "consumer.session.timeout.ms": [("group.consumer.session.timeout.ms", "45000", 5)],
        "share.record.lock.duration.ms": [("group.share.record.lock.duration.ms", "30000", 5)],
        "share.isolation.level": [
            ("share.isolation.level", "read_committed", 8),
            ("share.isolation.level", "read_uncommitted", 5),
        ],
        "share.auto.offset.reset": [("share.auto.offset.reset", "latest", 5)],
        "errors.deadletterqueue.topic.name": [("errors.deadletterqueue.topic.name", "", 5)],
        "streams.assignor.name": [("group.streams.assignors", "sticky", 5)],
    }
    for name, synonyms in expected.items():
        assert list(entry(entries, name).synonyms) == synonyms
    assert entry(entries, "streams.assignor.name").value == "sticky"
    assert all(each.synonyms for each in entries)
