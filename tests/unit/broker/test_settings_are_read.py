"""Every setting that is not in the table of names without effect has one.

A key's value reaches a room's view of the configuration, or decides what is refused; and what is in a view is
read by the room. Who reads is asked of the type checker: with the attributes taken out of the views, and out
of what their values are copied into, it complains of each place that asks for one.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import ottla
from ottla.config.broker import BROKER_CONFIGS, BrokerConfig, broker_config
from ottla.config.definition import ConfigDef, ConfigError
from ottla.config.groups import GROUP_CONFIGS
from ottla.config.layers import BrokerLayers
from ottla.config.topic import TOPIC_CONFIGS, TopicConfig, topic_config

PACKAGE = Path(ottla.__file__).parent
CLASSES = {
    "BrokerConfig": "config/broker.py",
    "ControllerConfig": "config/controller.py",
    "GroupCoordinatorConfig": "config/groups.py",
    "NetworkConfig": "config/network.py",
    "ReplicaConfig": "config/replica.py",
    "SaslSettings": "config/sasl.py",
    "TlsSettings": "config/tls.py",
    "TokenSettings": "config/sasl.py",
    "TopicConfig": "config/topic.py",
    "TransactionConfig": "config/transactions.py",
    # What values are copied into:
    "CleanerSettings": "storage/cleaner/cleaning.py",
    "ConnectionLimits": "network/memory.py",
    "LogEnvironment": "storage/environment.py",
    "RequestLimits": "broker/router.py",
    "ValidationOptions": "records/validation.py",
}

CLIENTS = {"cli", "client", "connect", "registry", "schemas", "streams", "testing"}
"""Who knows nothing of a broker, and so reads nothing for it: not looked through"""


def class_body(path: Path, name: str) -> list[ast.stmt]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return next(node.body for node in nodes if isinstance(node, ast.ClassDef) and node.name == name)


def properties(body: list[ast.stmt]) -> Mapping[str, set[str]]:
    """What each property asks of its object."""
    return {
        node.name: {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
        for node in body
        if isinstance(node, ast.FunctionDef)
    }


def fields(body: list[ast.stmt]) -> set[str]:
    return {
        node.target.id
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def without_attributes(path: Path, text: str, name: str) -> str:
    """The file's text with the class's fields and properties blanked out; lines keep their numbers."""
    lines = text.splitlines()
    for node in class_body(path, name):
        if isinstance(node, ast.AnnAssign | ast.FunctionDef):
            first = min(node.lineno, *(each.lineno for each in getattr(node, "decorator_list", [node])))
            for number in range(first - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join([*lines, ""])


COMPLAINT = re.compile(
    r'^(?P<path>\S+?):\d+: error: (?:Item )?"(?P<type>\w+)"(?: of "[^"]*")? has no attribute "(?P<name>\w+)"',
    re.MULTILINE,
)


def asked_for(package: Path, folder: Path) -> set[tuple[str, str]]:
    """Class and attribute of all that code outside `config` asks of the classes."""
    texts: dict[Path, str] = {}
    for name, file in CLASSES.items():
        path = package / file
        texts[path] = without_attributes(path, texts.get(path, path.read_text()), name)
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(folder / "cache"), "--soft-error-limit", "-1"]
    for number, (path, text) in enumerate(texts.items()):
        shadow = folder / f"{number}.py"
        shadow.write_text(text)
        command += ["--shadow-file", str(path), str(shadow)]
    rooms = [str(each.parent) for each in package.glob("*/__init__.py") if each.parent.name not in CLIENTS]
    done = subprocess.run([*command, *rooms], check=False, capture_output=True, text=True, timeout=900)
    found = list(COMPLAINT.finditer(done.stdout))
    assert found, done.stdout + done.stderr
    return {(each["type"], each["name"]) for each in found if "ottla/config/" not in each["path"]}


def unread(package: Path, folder: Path) -> list[str]:
    """The fields of the classes that nobody asks for, itself or by a property."""
    asked = asked_for(package, folder)
    forgotten = []
    for name, file in CLASSES.items():
        body = class_body(package / file, name)
        # The whole configuration is each of its views.
        names = {attribute for owner, attribute in asked if owner in (name, "BrokerConfig")}
        for attribute, used in properties(body).items():
            if attribute in names:
                names |= used
        forgotten += [f"{name}.{field}" for field in sorted(fields(body) - names)]
    return forgotten


def test_every_field_of_a_view_is_read(tmp_path: Path) -> None:
    assert unread(PACKAGE, tmp_path) == []


SAMPLES = (
    *(
        "true",
        "false",
        "0",
        "1",
        "2",
        "3",
        "5",
        "7",
        "9",
        "10",
        "100",
        "30000",
        "50000",
        "70000",
        "4000",
        "2097152",
    ),
    *(
        "8388609",
        "9000000000",
        "broker",
        "RS256",
        "required",
        "0:1",
        "0.3",
        "x",
        "producer",
        "lz4",
        "gzip",
        "LogAppendTime",
        "compact",
        "range",
        "classic",
        "json",
    ),
    *("upgrade", "127.0.0.1:3", "/elsewhere", "PLAINTEXT", "SSL", "NONE", "PLAINTEXT://127.0.0.1:1"),
)


SECURED = {
    "listeners": "SSL://127.0.0.1:1,SASL_SSL://127.0.0.1:2",
    "security.inter.broker.protocol": "SSL",
    "ssl.keystore.location": "keys",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
    "sasl.oauthbearer.jwks.endpoint.url": "file:///keys",
    "sasl.oauthbearer.expected.issuer": "me",
    "sasl.oauthbearer.expected.audience": "us",
}
"""What has listeners of their own to be seen on"""


def base(name: str) -> Mapping[str, str]:
    is_of_listeners = name.startswith(("ssl.", "sasl.", "ottla.sasl.", "connections.max.reauth"))
    return SECURED if is_of_listeners or name == "principal.builder.class" else {}


def effects(definition: ConfigDef) -> Iterator[tuple[str, BrokerConfig | TopicConfig | str]]:
    """What comes of each sample that the key takes as a value: a configuration, or why it is refused."""
    for sample in SAMPLES:
        try:
            definition.parse(sample)
        except ConfigError:
            continue
        try:
            if TOPIC_CONFIGS.get(definition.name) is definition:
                yield sample, topic_config({definition.name: sample}, broker_config())
            else:
                name = definition.name
                without = {name.replace("allow.unverified", "expected"): ""} if "unverified" in name else {}
                of_listener = {"sasl.jaas.config": f"listener.name.sasl_ssl.scram-sha-512.{name}"}
                settings = {**base(name), **without, of_listener.get(name, name): sample}
                yield sample, broker_config(BrokerLayers(static=settings))
        except ConfigError as error:
            yield sample, error.message


def values_of(outcome: BrokerConfig | TopicConfig | str) -> object:
    """What may be compared: the broker's configuration has no equality of its own."""
    if not isinstance(outcome, BrokerConfig):
        return outcome
    return {field.name: getattr(outcome, field.name) for field in dataclasses.fields(outcome)}


KEYS = [
    *BROKER_CONFIGS.values(),
    *(entry for entry in TOPIC_CONFIGS.values() if entry.name != "internal.segment.bytes"),
]


@pytest.mark.parametrize("definition", KEYS, ids=lambda entry: entry.name)
def test_a_key_has_an_effect_unless_the_table_says_that_it_has_none(definition: ConfigDef) -> None:
    is_topic = TOPIC_CONFIGS.get(definition.name) is definition
    before = (
        broker_config().topic_defaults
        if is_topic
        else broker_config(BrokerLayers(static=base(definition.name)))
    )
    came_of = dict(effects(definition))
    changed = {sample for sample, after in came_of.items() if values_of(after) != values_of(before)}
    assert came_of, "no sample is a value of it"
    if definition.honoured:
        assert changed
    else:
        assert {sample for sample in changed if not isinstance(came_of[sample], str)} == set()


def test_every_setting_of_a_group_is_asked_for() -> None:
    texts = {
        node.value
        for path in (PACKAGE / "coordination").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    honoured = {name for name, entry in GROUP_CONFIGS.items() if entry.honoured}
    assert honoured <= texts
    assert not texts & (GROUP_CONFIGS.keys() - honoured)
