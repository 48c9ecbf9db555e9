import pytest

from ottla.config.broker import (
    BROKER_CONFIGS,
    BrokerConfig,
    broker_config,
    broker_definition,
    check_dynamic_names,
)
from ottla.config.definition import ConfigError
from ottla.config.group import group_config
from ottla.config.group_keys import GROUP_CONFIGS
from ottla.config.layers import BrokerLayers
from ottla.config.topic_keys import TOPIC_CONFIGS

# Keys that are honoured without a field of their own: they supply another key's value.
SUPPLYING = {
    "broker.id",
    "controller.listener.names",
    "early.start.listeners",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "log.dir",
    "security.inter.broker.protocol",
}


def static(**texts):
    return broker_config(BrokerLayers(static={name.replace("_", "."): text for name, text in texts.items()}))


def test_every_honoured_key_reaches_the_code():
    fields = BrokerConfig._fields
    behind_topics = {name for entry in TOPIC_CONFIGS.values() for name in entry.synonyms}
    for entry in BROKER_CONFIGS.values():
        reached = entry.field in fields or entry.name in behind_topics or entry.name in SUPPLYING
        assert reached == (entry.honoured or entry.name in behind_topics), entry.name


def test_every_default_passes_its_own_validator():
    for registry in (BROKER_CONFIGS, TOPIC_CONFIGS, GROUP_CONFIGS):
        for entry in registry.values():
            if entry.default is not None and entry.validator is not None:
                assert entry.validator.check(entry.default) is None, entry.name


def test_every_key_is_documented_and_every_synonym_exists():
    for registry in (BROKER_CONFIGS, TOPIC_CONFIGS, GROUP_CONFIGS):
        for entry in registry.values():
            assert entry.doc.endswith("."), entry.name
    for entry in (*BROKER_CONFIGS.values(), *TOPIC_CONFIGS.values(), *GROUP_CONFIGS.values()):
        assert all(name in BROKER_CONFIGS for name in entry.synonyms), entry.name


def test_dynamic_layers_win_over_static_ones():
    layers = BrokerLayers(
        static={"max.connections": "1", "log.retention.ms": "1", "message.max.bytes": "1"},
        dynamic_default={"max.connections": "2", "log.retention.ms": "2"},
        dynamic={"max.connections": "3"},
    )
    config = broker_config(layers)
    assert config.max_connections == 3
    assert config.topic_defaults.retention_ms == 2
    assert config.topic_defaults.max_message_bytes == 1


def test_names_that_nobody_here_has_are_kept_for_plugins():
    assert static(no_such_key="1") == static()
    check_dynamic_names(["no.such.key"], per_broker=False)


def test_a_setting_of_one_listener_is_checked_as_the_setting_itself():
    for name in ("listener.name.x.max.connections", "listener.name.x.plain.sasl.jaas.config"):
        assert broker_definition(name) is BROKER_CONFIGS[name.split(".", 4 if "jaas" in name else 3)[-1]]
    assert broker_definition("listener.name.x.y") is None
    with pytest.raises(ConfigError, match=r"configuration max\.connections: Not a number"):
        broker_config(BrokerLayers(static={"listener.name.x.max.connections": "many"}))


def test_node_id_falls_back_on_broker_id():
    assert static(broker_id="7").node_id == 7
    assert static(broker_id="7", node_id="8").node_id == 8
    assert static().node_id == 1


def test_log_dirs_wins_over_log_dir():
    assert static(log_dir="/a").log_dirs == ("/a",)
    assert static(log_dir="/a", log_dirs="/b").log_dirs == ("/b",)
    with pytest.raises(ConfigError, match="exactly one data folder"):
        static(log_dirs="/a,/b")


def test_durations_in_other_units_keep_them():
    assert static().offsets_retention_minutes == 10_080


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"max_connections_per_ip_overrides": "127.0.0.1"}, "expected address:count"),
        ({"group_min_session_timeout_ms": "1800001"}, "group.max.session.timeout.ms must be greater"),
        (
            {"group_consumer_session_timeout_ms": "5000", "group_consumer_min_session_timeout_ms": "5000"},
            "heartbeat.interval.ms must be less than",
        ),
    ],
)
def test_refuses_wrong_settings(texts, message):
    with pytest.raises(ConfigError) as refused:
        static(**texts)
    assert message in refused.value.message


def test_connection_overrides_are_parsed():
    overrides = static(
        max_connections_per_ip_overrides="127.0.0.1:10, ::1:3"
    ).max_connections_per_ip_overrides
    assert overrides == {"127.0.0.1": 10, "::1": 3}


def test_only_dynamic_keys_may_change_while_running():
    check_dynamic_names(["log.retention.ms", "max.connections"], per_broker=False)
    check_dynamic_names(["ssl.keystore.location"], per_broker=True)
    with pytest.raises(ConfigError, match=r"Cannot update these configs dynamically: node\.id"):
        check_dynamic_names(["node.id", "max.connections"], per_broker=True)
    with pytest.raises(ConfigError, match="broker id must be specified: ssl.keystore.location"):
        check_dynamic_names(["ssl.keystore.location"], per_broker=False)


def test_a_group_overrides_the_brokers_timeouts_within_bounds():
    broker = static()
    assert group_config({}, broker).consumer_session_timeout_ms == 45_000
    assert (
        group_config({"consumer.session.timeout.ms": "50000"}, broker).consumer_session_timeout_ms == 50_000
    )
    for overrides, message in (
        ({"consumer.session.timeout.ms": "1000"}, r"greater than or equal to group\.consumer\.min"),
        ({"consumer.heartbeat.interval.ms": "60000"}, r"less than or equal to group\.consumer\.max"),
        ({"consumer.hartbeat": "1"}, "Unknown group config name"),
    ):
        with pytest.raises(ConfigError, match=message):
            group_config(overrides, broker)
    assert group_config({"share.delivery.count.limit": "3"}, broker) == group_config({}, broker)
