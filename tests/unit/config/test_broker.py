import pytest

from ottla.config.broker import (
    BROKER_CONFIGS,
    BrokerConfig,
    broker_config,
    broker_definition,
    broker_values,
    check_dynamic_change,
    check_dynamic_names,
)
from ottla.config.definition import ConfigError
from ottla.config.groups import GROUP_CONFIGS, check_group_configs
from ottla.config.layers import BrokerLayers
from ottla.config.network import NetworkConfig
from ottla.config.sasl import SASL_KEYS
from ottla.config.tls import TLS_KEYS
from ottla.config.topic import TOPIC_CONFIGS

# Keys that are honoured without a field of their own: they supply another key's value.
SUPPLYING = {
    "broker.id",
    "controller.listener.names",
    "early.start.listeners",
    "group.consumer.max.heartbeat.interval.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.min.session.timeout.ms",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    *(
        entry.name
        for entry in (*TLS_KEYS, *SASL_KEYS)
        if entry.field not in NetworkConfig.__dataclass_fields__
    ),
    "log.dir",
    "security.inter.broker.protocol",
}


def static(**texts):
    return broker_config(BrokerLayers(static={name.replace("_", "."): text for name, text in texts.items()}))


def test_every_honoured_key_reaches_the_code():
    fields = BrokerConfig.__dataclass_fields__
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
    limited = {
        "listeners": "A://:1,B://:2",
        "listener.security.protocol.map": "A:PLAINTEXT,B:PLAINTEXT",
        "inter.broker.listener.name": "A",
        "listener.name.b.max.connection.creation.rate": "5",
        "listener.name.c.max.connections": "5",
    }
    assert broker_config(BrokerLayers(static=limited)).listener_limits == {"B": (2**31 - 1, 5)}
    with pytest.raises(ConfigError, match=r"configuration max\.connections: Not a number"):
        broker_config(BrokerLayers(static={"listener.name.x.max.connections": "many"}))


def test_node_id_falls_back_on_broker_id():
    assert static(broker_id="7").node_id == 7
    assert static(broker_id="7", node_id="7").node_id == 7
    with pytest.raises(ConfigError, match="must be the same where both are set"):
        static(broker_id="7", node_id="8")
    assert static().node_id == 1


def test_log_dirs_wins_over_log_dir():
    assert static(log_dir="/a").log_dirs == ("/a",)
    assert static(log_dir="/a", log_dirs="/b").log_dirs == ("/b",)
    assert static(log_dirs="/a,/b").log_dirs == ("/a", "/b")


def test_durations_in_other_units_keep_them():
    assert static().offsets_retention_minutes == 10_080


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"max_connections_per_ip_overrides": "127.0.0.1"}, "expected address:count"),
        ({"max_connections_per_ip": "0"}, "only together with max.connections.per.ip.overrides"),
        ({"connections_max_idle_ms": "100"}, "greater than connection.failed.authentication.delay.ms"),
        ({"queued_max_request_bytes": "10"}, "greater than or equal to socket.request.max.bytes"),
        ({"cordoned_log_dirs": "/nowhere"}, "or folders of log.dirs"),
        (
            {"log_cleaner_dedupe_buffer_size": "2097152", "log_cleaner_threads": "2"},
            "more than 1048576 for each",
        ),
        ({"replica_fetch_wait_max_ms": "30001"}, "replica.socket.timeout.ms must be greater"),
        ({"log_retention_ms": "0"}, "Invalid value 0 for configuration log.retention.ms"),
        ({"log_retention_hours": "0"}, "Invalid value 0 for configuration log.retention.ms"),
        (
            {"group_consumer_assignment_interval_ms": "20000"},
            "group.consumer.max.assignment.interval.ms must",
        ),
        (
            {"group_share_delivery_count_limit": "10", "group_share_max_delivery_count_limit": "9"},
            "must be great",
        ),
        ({"group_streams_num_standby_replicas": "3"}, "group.streams.max.standby.replicas must be greater"),
        ({"group_streams_task_offset_interval_ms": "1"}, "task.offset.interval.ms must be greater"),
        ({"group_share_assignors": "a,b"}, "expected one"),
        ({"group_coordinator_rebalance_protocols": "consumer"}, "classic cannot be left out"),
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
    check_dynamic_names(["ssl.protocol", "listener.name.x.ssl.keystore.location"], per_broker=True)
    check_dynamic_names(["listener.name.x.max.connections"], per_broker=False)
    with pytest.raises(ConfigError, match=r"Cannot update these configs dynamically: node\.id"):
        check_dynamic_names(["node.id", "max.connections"], per_broker=True)
    for name in ("ssl.protocol", "listener.name.x.ssl.keystore.location", "listener.name.x.other"):
        with pytest.raises(ConfigError, match=f"broker id must be specified: {name}"):
            check_dynamic_names([name], per_broker=False)
    for name in ("listener.name.x.sasl.oauthbearer.jwks.endpoint.url", "listener.name.x.broker.id"):
        with pytest.raises(ConfigError, match=f"dynamically: {name}"):
            check_dynamic_names([name], per_broker=True)
    with pytest.raises(ConfigError, match="only for a listener"):
        check_dynamic_names(["ssl.keystore.location"], per_broker=True)


def dynamic(**texts):
    return BrokerLayers(dynamic={name.replace("_", "."): text for name, text in texts.items()})


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("background.threads", (5, 20), (4, 21)),
        ("log.cleaner.threads", (1, 2), (0, 3)),
        ("num.io.threads", (4, 16), (3, 17)),
        ("num.network.threads", (1, 6), (7, 100)),
        ("num.recovery.threads.per.data.dir", (1, 4), (5,)),
        ("num.replica.fetchers", (1, 2), (3,)),
    ],
)
def test_threads_at_most_double_and_at_least_halve_while_a_broker_runs(name, allowed, refused):
    for count in allowed:
        check_dynamic_change(BrokerLayers(), BrokerLayers(dynamic={name: str(count)}))
    for count in refused:
        with pytest.raises(ConfigError, match=f"Invalid value {count} for configuration {name}: while"):
            check_dynamic_change(BrokerLayers(), BrokerLayers(dynamic={name: str(count)}))


@pytest.mark.parametrize(
    "texts",
    [
        {"log_local_retention_ms": "-1"},
        {"log_local_retention_ms": "700000000"},
        {"log_retention_ms": "10", "log_remote_copy_lag_ms": "11"},
        {"log_retention_bytes": "5", "log_local_retention_bytes": "6"},
        {"log_retention_bytes": "5", "log_local_retention_bytes": "4", "log_remote_copy_lag_bytes": "5"},
    ],
)
def test_what_tiered_storage_keeps_locally_is_part_of_what_is_kept(texts):
    with pytest.raises(ConfigError, match=r"configuration log\.(local|remote)"):
        check_dynamic_change(BrokerLayers(), dynamic(**texts))


def test_what_tiered_storage_keeps_locally_may_be_all():
    check_dynamic_change(BrokerLayers(), dynamic(log_local_retention_ms="604800000"))
    check_dynamic_change(BrokerLayers(), dynamic(log_local_retention_ms="-1", log_retention_ms="-1"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"consumer.session.timeout.ms": "1000"}, "must be between 45000 and 60000"),
        ({"consumer.heartbeat.interval.ms": "60000"}, "must be between 5000 and 15000"),
        ({"consumer.assignment.interval.ms": "20000"}, "must be between 0 and 15000"),
        ({"share.delivery.count.limit": "11"}, "must be between 2 and 10"),
        ({"share.record.lock.duration.ms": "70000"}, "must be between 15000 and 60000"),
        ({"share.partition.max.record.locks": "50000"}, "must be between 100 and 4000"),
        ({"share.auto.offset.reset": "none"}, "earliest, latest or by_duration"),
        ({"streams.num.standby.replicas": "3"}, "must be between 0 and 2"),
        ({"streams.task.offset.interval.ms": "1"}, "must be between 15000 and"),
        ({"streams.assignor.name": "x"}, "must be one of sticky"),
        ({"errors.deadletterqueue.topic.name": "__x"}, "internal topic"),
        ({"consumer.hartbeat": "1"}, "Unknown group config name"),
    ],
)
def test_a_group_stays_within_the_brokers_bounds(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check_group_configs(overrides, broker_values(BrokerLayers()))


def test_a_groups_session_outlasts_its_heartbeats():
    layers = BrokerLayers(
        static={"group.share.min.session.timeout.ms": "5000", "group.share.heartbeat.interval.ms": "6000"}
    )
    with pytest.raises(ConfigError, match="must be greater than share.heartbeat.interval.ms"):
        check_group_configs({"share.session.timeout.ms": "6000"}, broker_values(layers))


def test_a_group_may_be_given_what_the_broker_allows():
    overrides = {
        "consumer.session.timeout.ms": "60000",
        "share.auto.offset.reset": "by_duration:PT1H30M",
        "share.delivery.count.limit": "10",
        "streams.assignor.name": "sticky",
        "streams.rack.aware.assignment.tags": "zone,cluster",
        "errors.deadletterqueue.topic.name": "dlq.x",
    }
    check_group_configs(overrides, broker_values(BrokerLayers()))


def test_kafkas_name_for_the_memory_of_requests_goes_first() -> None:
    assert broker_config(BrokerLayers()).request_memory_max_bytes == 128 << 20
    layers = BrokerLayers(static={"queued.max.request.bytes": str(200 << 20)})
    assert broker_config(layers).request_memory_max_bytes == 200 << 20
