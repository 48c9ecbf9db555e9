from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.config.broker import BROKER_CONFIGS
from ottla.config.definition import ConfigError
from ottla.config.load import Sources, environment_variable, load_settings
from ottla.config.properties import parse_properties
from ottla.config.reference import reference_page
from ottla.config.topic import TOPIC_CONFIGS


def entries(text):
    return [(entry.name, entry.value) for entry in parse_properties(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1\nb:2\nc 3\n", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("  a = 1 ", [("a", "1 ")]),
        ("# no\n! no\n\n  \na=1", [("a", "1")]),
        ("a=1,\\\n    2,\\\n  # 3", [("a", "1,2,# 3")]),
        ("a=1\\\\\nb=2", [("a", "1\\"), ("b", "2")]),
        ("a\\=b\\:c\\ d=1", [("a=b:c d", "1")]),
        ("a\\==b", [("a=", "b")]),
        ("a\f=\f1", [("a", "1")]),
        ("a=\\u00e9\\t\\q", [("a", "\u00e9\tq")]),
        ("a=\\n\\r\\f", [("a", "\n\r\f")]),
        ("a=1,\\\r\n2\r\nb=3", [("a", "1,2"), ("b", "3")]),
        ("a", [("a", "")]),
        ("=x", [("", "x")]),
        ("a=1\rb=2\r\nc=3", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("a = = b", [("a", "= b")]),
        ("a=1\\", [("a", "1")]),
        ("\\\n#a=1", [("#a", "1")]),
        ("a=1\\\n\nb=2", [("a", "1"), ("b", "2")]),
        ("a=x\u0085y", [("a", "x\u0085y")]),
    ],
)
def test_properties_are_read_as_java_reads_them(text, expected):
    assert entries(text) == expected


def test_a_property_knows_the_line_it_begins_on():
    for end in ("\n", "\r\n", "\r"):
        text = end.join(["# x", "a=1\\", "2", "b=3"])
        assert [entry.line for entry in parse_properties(text)] == [2, 4]


def test_a_malformed_escape_names_its_line():
    with pytest.raises(ConfigError, match=r"^2: Malformed \\u12 escape"):
        entries("a=1\nb=\\u12")


def _escape(text):
    return "".join(f"\\u{ord(character):04x}" for character in text)


bmp = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.dictionaries(bmp, bmp, max_size=5))
def test_escaped_properties_read_back_the_same(properties):
    text = "\n".join(f"{_escape(name)}={_escape(value)}" for name, value in properties.items())
    assert dict(entries(text)) == properties


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    try:
        list(parse_properties(text))
    except ConfigError:
        pass


KRAFT_FILE = """\
process.roles=broker,controller
node.id=3
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
listener.name.plaintext.ssl.client.auth=none
zookeeper.connect=localhost:2181
num.network.threads=3
num.io.threads=8
log.dirs=/var/lib/logs
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
"""


def test_a_server_properties_of_kafka_starts(tmp_path):
    file = tmp_path / "server.properties"
    file.write_text(KRAFT_FILE)
    settings = load_settings(Sources(file=file))
    assert settings.config.node_id == 3
    assert [listener.name for listener in settings.config.listeners] == ["PLAINTEXT"]
    assert "process.roles" in settings.without_effect
    assert "listener.name.plaintext.ssl.client.auth" in settings.without_effect
    assert "node.id" not in settings.without_effect
    assert settings.unknown == (f"{file}:10: zookeeper.connect is no setting of Ottla's and has no effect",)
    assert settings.static["zookeeper.connect"] == "localhost:2181"


def test_later_sources_win(tmp_path):
    file = tmp_path / "server.properties"
    file.write_text("num.partitions=2\nnode.id=2\nlog.dir=/two\nmax.connections=2\n")
    settings = load_settings(
        Sources(
            file=file,
            environment={
                "OTTLA_NODE_ID": "3",
                "OTTLA_LOG_DIR": "/three",
                "OTTLA_MAX_CONNECTIONS": "3",
                "PATH": "x",
            },
            assignments=["log.dir=/four", "max.connections = 4"],
            options={"max.connections": ("5", "--max-connections")},
        )
    )
    config = settings.config
    assert (config.num_partitions, config.node_id, config.log_dirs, config.max_connections) == (
        2,
        3,
        ("/four",),
        5,
    )


def test_toml_takes_tables_dotted_keys_lists_and_numbers(tmp_path):
    file = tmp_path / "ottla.toml"
    file.write_text(
        'node.id = 4\n"max.connections" = 10\n"max.connections.per.ip" = 5\n'
        'listeners = ["PLAINTEXT://127.0.0.1:0"]\n'
        "[log]\ncleaner.enable = false\n[log.retention]\nms = 9\n[ottla.acks.all]\nflush = true\n"
    )
    config = load_settings(Sources(file=file)).config
    assert (config.node_id, config.max_connections, config.max_connections_per_ip) == (4, 10, 5)
    assert not config.log_cleaner_enable
    assert config.topic_defaults.retention_ms == 9
    assert config.ottla_acks_all_flush


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.properties",
            "node.id=1\nlog.retension.ms=5",
            ":2: unknown setting log.retension.ms; did you mean log.r",
        ),
        (
            "a.properties",
            "retention.ms=5",
            ":1: unknown setting retention.ms; it is a topic setting, its default",
        ),
        (
            "a.properties",
            "num.partitions=many",
            ":1: Invalid value many for configuration num.partitions: Not a",
        ),
        ("a.properties", "x=\\u1", ":1: Malformed"),
        (
            "a.properties",
            "listeners=SSL://:70000",
            ":1: Invalid value SSL://:70000 for configuration listeners: expected name",
        ),
        (
            "a.properties",
            "\ngroup.min.session.timeout.ms=1800001",
            ":2: group.max.session.timeout.ms must be",
        ),
        ("a.properties", "node.ids=1", ":1: unknown setting node.ids; did you mean node.id?"),
        (
            "a.properties",
            "NUM_PARTITIONS=1",
            ":1: unknown setting NUM_PARTITIONS; did you mean num.partitions",
        ),
        ("a.properties", "ssl.trustore.location=x", "; did you mean ssl.truststore.location?"),
        ("a.properties", "ottla.no.such=1", ":1: unknown setting ottla.no.such"),
        (
            "a.properties",
            "remote.storage.enable=true",
            ": unknown setting remote.storage.enable; it is a topic s",
        ),
        (
            "a.properties",
            "listener.name.outside.max.connections=many",
            ":1: Invalid value many for configuration max.connections: Not a",
        ),
        ("a.toml", "node.id = ", "a.toml: "),
        ("a.toml", "node.id = 1979-05-27", "a.toml: node.id: expected a string, a number"),
        ("a.toml", "[log]\nretention.msx = 1", "a.toml: unknown setting log.retention.msx; did you mean"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_naming_the_place(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        load_settings(Sources(file=file))
    assert message in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            Sources(environment={"OTTLA_LOG_RETENTON_MS": "5"}),
            "OTTLA_LOG_RETENTON_MS: no setting has this environment variable; did you mean OTTLA_LOG_RET",
        ),
        (
            Sources(environment={"OTTLA_NODE_ID": "x"}),
            "OTTLA_NODE_ID: Invalid value x for configuration node.id",
        ),
        (Sources(assignments=["node.id"]), "--set node.id: expected name=value"),
        (Sources(assignments=["node.ids=1"]), "--set: unknown setting node.ids; did you mean node.id?"),
        (
            Sources(options={"my.plugin.setting": ("1", "settings")}),
            "settings: unknown setting my.plugin.setting",
        ),
        (
            Sources(options={"listeners": ("x", "--listen")}),
            "--listen: Invalid value x for configuration listeners",
        ),
        (Sources(file=Path("/no/such/file")), "/no/such/file: No such file"),
    ],
)
def test_a_mistake_elsewhere_names_its_source(sources, message):
    with pytest.raises(ConfigError) as refused:
        load_settings(sources)
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("log_retention_ms", "log.retention.ms"),
        ("log-retention-ms", "log.retention.ms"),
        ("log.retentino.ms", "log.retention.ms"),
        ("qlog.retenqion.ms", "log.retention.ms"),
        ("log.rtnion.ms", None),
        ("qlog.rettion.ms", None),
        ("log.retention.qqq", None),
        ("ode.id", "node.id"),
        ("node.di", "node.id"),
        ("node.xi", None),
        ("node.dx", None),
        ("nodd.ei", None),
    ],
)
def test_a_mistake_is_two_edits_and_in_a_short_name_one(name, meant):
    if meant is None:
        assert load_settings(Sources(assignments=[f"{name}=1"])).static == {name: "1"}
    else:
        with pytest.raises(ConfigError, match=f"did you mean {meant}"):
            load_settings(Sources(assignments=[f"{name}=1"]))


def test_own_settings_have_the_prefix_of_environment_variables_once():
    assert environment_variable("ottla.acks.all.flush") == "OTTLA_ACKS_ALL_FLUSH"
    assert environment_variable("log.retention.ms") == "OTTLA_LOG_RETENTION_MS"
    assert load_settings(Sources(environment={"OTTLA_ACKS_ALL_FLUSH": "true"})).config.ottla_acks_all_flush


def test_every_setting_has_its_own_environment_variable():
    assert len({environment_variable(name) for name in BROKER_CONFIGS}) == len(BROKER_CONFIGS)


def test_the_committed_reference_is_current():
    page = Path(__file__).parents[3] / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == reference_page(), "run python -m ottla.config.reference"


@pytest.mark.parametrize(
    "variable",
    [
        "OTTLA_BOOTSTRAP_SERVERS",
        "OTTLA_COMPILE",
        "OTTLA_TEST_SERVE",
        "OTTLA_SERVICE_HOST",
        "OTTLA_SERVICE_PORT",
        "OTTLA_SERVICE_PORT_KAFKA",
        "OTTLA_PORT",
        "OTTLA_PORT_9092_TCP",
        "OTTLA_PORT_9092_TCP_ADDR",
        "OTTLA_HEADLESS_SERVICE_HOST",
        "OTTLA_HEADLESS_PORT_9092_TCP_PROTO",
    ],
)
def test_variables_that_are_not_the_brokers_are_left_alone(variable):
    loaded = load_settings(Sources(environment={variable: "127.0.0.1:9092", "OTTLA_NODE_ID": "3"}))
    assert loaded.static == {"node.id": "3"}


@pytest.mark.parametrize("variable", ["OTTLA_BOOTSTRAP_SERVER", "OTTLA_TEST", "OTTLA_PORTS"])
def test_variables_that_set_nothing_are_reported(variable):
    loaded = load_settings(Sources(environment={variable: "x"}))
    assert loaded.unknown == (f"{variable}: no setting has this environment variable, it has no effect",)
    assert loaded.static == {}


OTHERS_NAMES = """\
advertised.host.name advertised.port broker.id.generation.enable confluent.balancer.enable
confluent.license.topic.replication.factor confluent.metrics.reporter.bootstrap.servers
control.plane.listener.name controller.message.queue.size cruise.control.metrics.topic
delegation.token.master.key eligible.leader.replicas.enable group.coordinator.new.enable host.name
inter.broker.protocol.version kafka.csv.metrics.dir log.message.downconversion.enable
log.message.format.version log.message.timestamp.difference.max.ms metadata.start.timeout.ms my.plugin
offsets.commit.required.acks password.encoder.cipher.algorithm password.encoder.iterations
password.encoder.key.length password.encoder.keyfactory.algorithm password.encoder.old.secret
password.encoder.secret port quota.consumer.default quota.producer.default reserved.broker.max.id
rlmm.config.remote.log.metadata.topic.replication.factor rsm.config.chunk.size
strimzi.authorization.token.endpoint.uri transactional.id.timeout zookeeper.clientCnxnSocket
zookeeper.connect zookeeper.connection.timeout.ms zookeeper.max.in.flight.requests
zookeeper.metadata.migration.enable zookeeper.session.timeout.ms zookeeper.set.acl
zookeeper.ssl.client.enable zookeeper.ssl.keystore.location zookeeper.ssl.truststore.type
zookeeper.sync.time.ms
"""
"""Of plug-ins, other distributions and releases before 4."""


@pytest.mark.parametrize("name", OTHERS_NAMES.split())
def test_names_of_others_are_kept_and_reported(tmp_path, name):
    file = tmp_path / "server.properties"
    file.write_text(f"node.id=3\n{name} = some value \n")
    settings = load_settings(Sources(file=file, assignments=[f"{name}=later"]))
    assert settings.unknown == (f"--set: {name} is no setting of Ottla's and has no effect",)
    assert settings.static == {"node.id": "3", name: "later"}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_misspelt_name_never_starts(data):
    name = data.draw(
        st.sampled_from([key for key in BROKER_CONFIGS if len(key) > 12 and key[:6] != "ottla."])
    )
    at = data.draw(st.integers(0, len(name) - 2))
    kind = data.draw(st.sampled_from(["drop", "swap", "double", "replace"]))
    middle = {"drop": name[at + 1], "swap": name[at + 1] + name[at], "double": name[at] * 2 + name[at + 1]}
    wrong = name[:at] + middle.get(kind, "q" + name[at + 1]) + name[at + 2 :]
    if wrong in BROKER_CONFIGS or wrong in TOPIC_CONFIGS:
        return
    for sources in (
        Sources(assignments=[f"{wrong}=1"]),
        Sources(environment={environment_variable(wrong): "1"}),
    ):
        with pytest.raises(ConfigError, match="did you mean"):
            load_settings(sources)
