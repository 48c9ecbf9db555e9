"""Configurations described and altered."""

from __future__ import annotations

from typing import Any

from .scenario import Ask, scenario

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)


def describe(ask: Ask, type_: int, name: str, keys: list[str] | None = None, **fields: Any) -> None:
    resource = {"resource_type": type_, "resource_name": name, "configuration_keys": keys}
    ask("DescribeConfigs", resources=[resource], **fields)


@scenario("DescribeConfigs")
def test_describe_topic(ask: Ask) -> None:
    topic = ask.topic(retention_ms="60000", cleanup_policy="compact")["name"]
    describe(ask, TOPIC, topic)
    describe(ask, TOPIC, topic, include_synonyms=True, include_documentation=True)
    describe(
        ask,
        TOPIC,
        topic,
        ["retention.ms", "segment.bytes", "no.such.config", "retention.ms"],
        include_synonyms=True,
    )
    describe(ask, TOPIC, topic, [])


@scenario("DescribeConfigs")
def test_describe_unknown_resources(ask: Ask) -> None:
    for name in (ask.name("nowhere"), "", "a b"):
        describe(ask, TOPIC, name, ["retention.ms"])
    for name in ("2", "-1", "one", "1.0"):
        describe(ask, BROKER, name, ["log.retention.hours"])
    for type_ in (0, 1, 3, 5, 64, -1):
        describe(ask, type_, "1", ["retention.ms"])


@scenario("DescribeConfigs")
def test_describe_twice(ask: Ask) -> None:
    topic = ask.topic()["name"]
    resource = {"resource_type": TOPIC, "resource_name": topic, "configuration_keys": ["retention.ms"]}
    ask("DescribeConfigs", resources=[resource, resource])
    ask("DescribeConfigs", resources=[])


@scenario("DescribeConfigs")
def test_describe_broker(ask: Ask) -> None:
    names = [
        "log.retention.hours", "log.retention.ms", "num.partitions", "compression.type", "log.cleanup.policy",
        "message.max.bytes", "min.insync.replicas", "group.initial.rebalance.delay.ms", "node.id",
        "broker.id",
        "log.cleaner.threads", "num.io.threads", "background.threads", "unclean.leader.election.enable",
        "no.such.config", "auto.create.topics.enable", "ssl.keystore.password", "offsets.retention.minutes",
    ]  # fmt: skip
    for name in ("1", ""):
        describe(ask, BROKER, name, names, include_synonyms=True, include_documentation=True)


@scenario("DescribeConfigs", versions=(4,))
def test_describe_group(ask: Ask) -> None:
    for name in (ask.name("group"), ""):
        describe(ask, GROUP, name)
        describe(ask, GROUP, name, ["consumer.session.timeout.ms", "no.such.config"], include_synonyms=True)


@scenario("DescribeConfigs", versions=(4,))
def test_describe_broker_loggers(ask: Ask) -> None:
    for name in ("1", "2", ""):
        describe(ask, BROKER_LOGGER, name, ["no.such.logger"])


@scenario("IncrementalAlterConfigs", versions=(1,))
def test_alter_broker_loggers(ask: Ask) -> None:
    for name, key, kind, value in (
        ("2", "root", SET, "INFO"),
        ("", "root", SET, "INFO"),
        ("1", "no.such.logger", SET, "INFO"),
        ("1", "no.such.logger", DELETE, None),
        ("1", "root", SET, "LOUD"),
        ("1", "root", SET, "info"),
        ("1", "root", SET, None),
        ("1", "root", SET, "INFO"),
        ("1", "root", DELETE, None),
        ("1", "root", APPEND, "INFO"),
        ("1", "root", SUBTRACT, "INFO"),
        ("1", "root", 9, "INFO"),
    ):
        change = {"name": key, "config_operation": kind, "value": value}
        resource = {"resource_type": BROKER_LOGGER, "resource_name": name, "configs": [change]}
        ask("IncrementalAlterConfigs", resources=[resource])
        ask("IncrementalAlterConfigs", resources=[resource], validate_only=True)


def alter(ask: Ask, type_: int, name: str, *configs: tuple[str, str | None], **fields: Any) -> None:
    wanted = [{"name": key, "value": value} for key, value in configs]
    ask(
        "AlterConfigs",
        resources=[{"resource_type": type_, "resource_name": name, "configs": wanted}],
        **fields,
    )


@scenario("AlterConfigs")
def test_alter_topic(ask: Ask) -> None:
    topic = ask.topic(retention_ms="60000")["name"]
    alter(ask, TOPIC, topic, ("segment.bytes", "2000000"), validate_only=True)
    ask.settle()
    describe(ask, TOPIC, topic)
    alter(ask, TOPIC, topic, ("segment.bytes", "2000000"), ("cleanup.policy", " compact , delete "))
    ask.settle()
    describe(ask, TOPIC, topic)
    alter(ask, TOPIC, topic)
    ask.settle()
    describe(ask, TOPIC, topic)


@scenario("AlterConfigs")
def test_alter_wrongly(ask: Ask) -> None:
    topic = ask.topic()["name"]
    for configs in (
        [("no.such.config", "1")], [("retention.ms", "x")], [("retention.ms", None)], [("retention.ms", "")],
        [("retention.ms", "1"), ("retention.ms", "2")], [("", "")], [("cleanup.policy", "x")],
        [("retention.ms", "1"), ("no.such.config", "1")], [("max.message.bytes", "-1")],
    ):  # fmt: skip
        for validate_only in (True, False):
            alter(ask, TOPIC, topic, *configs, validate_only=validate_only)
    alter(ask, TOPIC, ask.name("nowhere"), ("retention.ms", "1"))
    alter(ask, TOPIC, "", ("retention.ms", "1"))
    for type_ in (0, 1, 3, 64, -1):
        alter(ask, type_, topic, ("retention.ms", "1"))
    ask("AlterConfigs", resources=[])  # a resource that is named twice is never answered by Kafka


def change(ask: Ask, type_: int, name: str, *changes: tuple[str, int, str | None], **fields: Any) -> None:
    wanted = [
        {"name": key, "config_operation": operation, "value": value} for key, operation, value in changes
    ]
    resource = {"resource_type": type_, "resource_name": name, "configs": wanted}
    ask("IncrementalAlterConfigs", resources=[resource], **fields)


def describe_applied(ask: Ask, type_: int, name: str, keys: list[str], **fields: Any) -> None:
    ask.settle()
    describe(ask, type_, name, keys, **fields)


@scenario("IncrementalAlterConfigs")
def test_change_topic(ask: Ask) -> None:
    topic = ask.topic(retention_ms="60000")["name"]
    change(ask, TOPIC, topic, ("retention.ms", SET, "70000"), validate_only=True)
    change(ask, TOPIC, topic, ("segment.ms", SET, "70000"), ("retention.ms", DELETE, None))
    describe_applied(ask, TOPIC, topic, ["segment.ms", "retention.ms"])
    for operation, value in (
        (APPEND, "compact"), (APPEND, "compact"), (SUBTRACT, "delete"), (SUBTRACT, "none"),
        (APPEND, "delete,compact"),
        (SUBTRACT, "compact,delete"), (APPEND, ""), (DELETE, "ignored"), (DELETE, None), (APPEND, "shred"),
    ):  # fmt: skip
        change(ask, TOPIC, topic, ("cleanup.policy", operation, value))
        describe_applied(ask, TOPIC, topic, ["cleanup.policy"])
    change(ask, TOPIC, topic)
    change(ask, TOPIC, topic, ("no.such.config", DELETE, None))


# No operation but the four is tried: Kafka's controller resigns over it.
@scenario("IncrementalAlterConfigs")
def test_change_wrongly(ask: Ask) -> None:
    topic = ask.topic()["name"]
    for changes in (
        [("no.such.config", SET, "1")], [("no.such.config", APPEND, "1")], [("retention.ms", SET, "x")],
        [("retention.ms", SET, None)], [("retention.ms", SET, "")], [("retention.ms", APPEND, "1")],
        [("retention.ms", SUBTRACT, "1")],
        [("retention.ms", SET, "1"), ("retention.ms", SET, "2")], [("", SET, "")],
        [("retention.ms", SET, "1"), ("retention.ms", DELETE, None)], [("cleanup.policy", APPEND, None)],
        [("retention.ms", SET, "1"), ("no.such.config", SET, "1")], [("cleanup.policy", SET, "x")],
        [("retention.ms", SET, " 5 ")], [("retention.ms", SET, "-1")],
        [("retention.ms", SET, "9223372036854775808")],
        [("preallocate", SET, "yes")], [("preallocate", SET, "TRUE")], [("flush.messages", SET, "0")],
    ):  # fmt: skip
        for validate_only in (True, False):
            change(ask, TOPIC, topic, *changes, validate_only=validate_only)
    change(ask, TOPIC, ask.name("nowhere"), ("retention.ms", SET, "1"))
    for name in ("", "a b"):
        change(ask, TOPIC, name, ("retention.ms", SET, "1"))
    for type_ in (0, 1, 3, 64, -1):
        change(ask, type_, topic, ("retention.ms", SET, "1"))
    ask("IncrementalAlterConfigs", resources=[])
    describe_applied(ask, TOPIC, topic, ["retention.ms", "cleanup.policy", "preallocate"])


@scenario("IncrementalAlterConfigs")
def test_change_resources_twice(ask: Ask) -> None:
    one = [{"name": "retention.ms", "config_operation": SET, "value": "1"}]
    twice = {"resource_type": TOPIC, "resource_name": ask.topic()["name"], "configs": one}
    ask("IncrementalAlterConfigs", resources=[twice, twice])


@scenario("IncrementalAlterConfigs", versions=(1,))
def test_change_broker(ask: Ask) -> None:
    names = ["log.cleaner.threads", "log.retention.ms", "log.retention.hours", "message.max.bytes"]
    for name in ("1", ""):
        change(ask, BROKER, name, ("message.max.bytes", SET, "2000000"), ("log.retention.ms", SET, "70000"))
        describe_applied(ask, BROKER, name, names, include_synonyms=True)
    topic = ask.topic()["name"]
    describe(ask, TOPIC, topic, ["max.message.bytes", "retention.ms"], include_synonyms=True)
    for name in ("1", ""):
        change(ask, BROKER, name, ("message.max.bytes", DELETE, None), ("log.retention.ms", DELETE, None))
    describe_applied(ask, BROKER, "1", names, include_synonyms=True)


@scenario("IncrementalAlterConfigs", versions=(1,))
def test_change_broker_wrongly(ask: Ask) -> None:
    for validate_only in (True, False):
        for name in ("1", ""):
            for key, value in (
                ("no.such.config", "1"), ("log.dirs", "/tmp"), ("node.id", "5"), ("num.partitions", "x"),
                ("message.max.bytes", "x"), ("message.max.bytes", "-1"), ("log.cleaner.threads", "0"),
                ("num.network.threads", "100"), ("background.threads", "2"), ("listeners", "PLAINTEXT://:1"),
                ("auto.create.topics.enable", "false"), ("min.insync.replicas", "0"),
            ):  # fmt: skip
                change(ask, BROKER, name, (key, SET, value), validate_only=validate_only)
    for name in ("2", "-1", "one"):
        change(ask, BROKER, name, ("message.max.bytes", SET, "2000000"))


@scenario("IncrementalAlterConfigs", versions=(1,))
def test_change_group(ask: Ask) -> None:
    group = ask.name("group")
    change(ask, GROUP, group, ("consumer.session.timeout.ms", SET, "50000"))
    describe_applied(ask, GROUP, group, ["consumer.session.timeout.ms"])
    for key, value in (
        ("consumer.session.timeout.ms", "1"), ("consumer.session.timeout.ms", "x"), ("no.such.config", "1"),
        ("consumer.heartbeat.interval.ms", "1"), ("consumer.heartbeat.interval.ms", "60000"),
    ):  # fmt: skip
        for validate_only in (True, False):
            change(ask, GROUP, group, (key, SET, value), validate_only=validate_only)
    change(ask, GROUP, group, ("consumer.session.timeout.ms", DELETE, None))
    change(ask, GROUP, "", ("consumer.session.timeout.ms", SET, "50000"))


@scenario("ListConfigResources")
def test_resources(ask: Ask) -> None:
    ask.topic()
    for types in ([BROKER], [BROKER_LOGGER], [GROUP], [CLIENT_METRICS], [0], [1], [64], [BROKER, GROUP]):
        ask("ListConfigResources", resource_types=types)
