"""`ottla user`, `acl`, `token` and `quota`: on brokers that ask who comes, and a folder not served."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ottla.cli.main import run
from ottla.testing import run_broker

from .conftest import Broker

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}
Call = Callable[..., str]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("guarded"), AUTHORIZER)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def call(guarded: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs `ottla` in this process, holds its exit code, and gives what it printed."""

    def called(*arguments: str, stdin: str = "", code: int = 0) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        monkeypatch.setenv("OTTLA_BOOTSTRAP_SERVERS", guarded.bootstrap)
        done = run(arguments)
        said = capsys.readouterr()
        assert done == code, said
        return said.err if code else said.out

    return called


def rows(printed: str) -> set[tuple[str, ...]]:
    return {tuple(row.values()) for row in json.loads(printed)}


def test_users_of_a_broker(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from a file\n")
    call("user", "add", "ann", "--password-file", str(file), "--iterations", "8192")
    both = ("--mechanism", "SCRAM-SHA-256", "--mechanism", "scram-sha-512")
    call("user", "add", "bob", *both, stdin="from stdin\n")
    known = {
        ("ann", "SCRAM-SHA-512", 8192),
        ("bob", "SCRAM-SHA-256", 4096),
        ("bob", "SCRAM-SHA-512", 4096),
    }
    assert rows(call("user", "list", "--json")) == known
    assert "there is no user eve" in call("user", "remove", "ann", "eve", code=1)
    assert rows(call("user", "list", "--json")) == known
    assert "no such credential" in call("user", "remove", "ann", "--mechanism", "SCRAM-SHA-256", code=1)
    call("user", "remove", "bob", "--mechanism", "SCRAM-SHA-256")
    call("user", "remove", "ann", "bob")
    assert rows(call("user", "list", "--json")) == set()


def test_the_first_user_of_a_folder_that_is_not_served(call: Call, guarded: Broker, tmp_path: Path) -> None:
    own = Broker(tmp_path, {})
    where = ("--data", str(tmp_path / "data"))
    call("user", "add", "ann", *where, stdin="secret\n")
    assert rows(call("user", "list", *where, "--json")) == {("ann", "SCRAM-SHA-512", 4096)}
    own.start()
    try:
        assert rows(call("user", "list", "-b", own.bootstrap, "--json")) == {("ann", "SCRAM-SHA-512", 4096)}
        assert "in use" in call("user", "add", "bob", *where, stdin="secret\n", code=1)
    finally:
        assert own.stop() == 0
    call("user", "remove", "ann", *where)
    assert rows(call("user", "list", *where, "--json")) == set()


def test_a_password_on_the_command_line_is_warned_of(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["user", "add", "ann", "--password", "hunter2", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "warning" in said.err
    assert "hunter2" not in said.err + said.out
    assert "empty" in call("user", "add", "ann", "--data", str(tmp_path), stdin="\n", code=2)


def acls(printed: str) -> set[tuple[str, ...]]:
    return {
        (each["permission"], each["operation"], each["resource"], each["name"], each["pattern"], each["host"])
        for each in json.loads(printed)
    }


def test_acls_of_producers_and_consumers(call: Call) -> None:
    who = ("--allow-principal", "User:pam")
    added = call(
        *("acl", "add", *who, "--producer", "--consumer", "--topic", "orders", "--group", "g"),
        *("--transactional-id", "t", "--idempotent", "--json"),
    )
    topic = {
        ("allow", each, "topic", "orders", "literal", "*") for each in ("write", "describe", "create", "read")
    }
    others = {
        ("allow", "read", "group", "g", "literal", "*"),
        ("allow", "write", "transactional_id", "t", "literal", "*"),
        ("allow", "describe", "transactional_id", "t", "literal", "*"),
        ("allow", "idempotent_write", "cluster", "kafka-cluster", "literal", "*"),
    }
    assert acls(added) == topic | others
    listed = call("acl", "list", "--principal", "User:pam", "--json")
    assert acls(listed) == topic | others
    assert acls(call("acl", "list", "--topic", "orders", "--json")) == topic
    removed = call(
        "acl", "remove", *who, "--consumer", "--topic", "orders", "--group", "g", "--force", "--json"
    )
    assert len(acls(removed)) == 3
    for name in ("--topic=orders", "--transactional-id=t", "--cluster"):
        call("acl", "remove", name, "--force")
    assert acls(call("acl", "list", "--principal", "User:pam", "--json")) == set()


def test_acls_by_hand(call: Call) -> None:
    prefix = ("--topic", "in-", "--resource-pattern-type", "prefixed")
    who = ("--allow-principal", "User:ann", "--deny-principal", "User:eve")
    hosts = ("--allow-host", "10.0.0.0/8", "--allow-host", "::1")
    call("acl", "add", *prefix, *who, *hosts, "--operation", "DescribeConfigs", "--operation", "READ")
    expected = {("deny", each, "topic", "in-", "prefixed", "*") for each in ("describe_configs", "read")} | {
        ("allow", each, "topic", "in-", "prefixed", host)
        for each in ("describe_configs", "read")
        for host in ("10.0.0.0/8", "::1")
    }
    matching = ("--topic", "in-deed", "--resource-pattern-type", "match")
    assert acls(call("acl", "list", *matching, "--json")) == expected
    assert acls(call("acl", "list", "--topic", "in-deed", "--json")) == set()
    call("acl", "remove", *matching, stdin="n\n")
    assert acls(call("acl", "list", *matching, "--json")) == expected
    call("acl", "remove", *matching, stdin="y\n")
    assert acls(call("acl", "list", *matching, "--json")) == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "--allow-principal", "User:a"), "Name a resource"),
        (("add", "--topic", "t"), "Say who"),
        (("add", "--topic", "t", "--allow-principal", "a"), "User:alice"),
        (("add", "--topic", "t", "--allow-principal", "User:a", "--operation", "fly"), "none of"),
        (("add", "--group", "g", "--allow-principal", "User:a", "--operation", "write"), "there is no write"),
        (("add", "--topic", "t", "--allow-principal", "User:a", "--resource-pattern-type", "any"), "literal"),
        (("add", "--producer", "--group", "g", "--allow-principal", "User:a"), "need a --topic"),
        (("add", "--consumer", "--topic", "t", "--allow-principal", "User:a"), "needs a --group"),
        (("add", "--producer", "--topic", "t", "--deny-principal", "User:a"), "alone"),
        (("add", "--topic", "t", "--idempotent", "--allow-principal", "User:a"), "goes with --producer"),
        (("add", "--producer", "--topic", "t", "--cluster", "--allow-principal", "User:a"), "nothing to do"),
    ],
)
def test_what_makes_no_sense(call: Call, arguments: tuple[str, ...], said: Any) -> None:
    assert said in call("acl", *arguments, code=2)


def test_roles(call: Call) -> None:
    call("role", "create", "readers")
    assert "already" in call("role", "create", "readers", code=1)
    assert "no role nobody" in call("role", "grant", "nobody", "--topic", "t", code=1)
    granted = call("role", "grant", "readers", "--consumer", "--topic", "in", "--group", "g", "--json")
    assert acls(granted) == {
        ("allow", "read", "topic", "in", "literal", "*"),
        ("allow", "describe", "topic", "in", "literal", "*"),
        ("allow", "read", "group", "g", "literal", "*"),
    }
    barred = ("--topic", "in-", "--resource-pattern-type", "prefixed", "--operation", "write", "--deny")
    call("role", "grant", "readers", *barred, "--host", "10.0.0.0/8")
    call("role", "bind", "readers", "User:pam", "Group:ops", "--host", "10.1.0.0/16")
    assert "no roles" in call("role", "bind", "readers", "Role:other", code=2)
    described = json.loads(call("role", "describe", "readers", "--json"))
    assert described["members"] == [
        {"member": who, "permission": "allow", "host": "10.1.0.0/16"} for who in ("Group:ops", "User:pam")
    ]
    assert len(described["acls"]) == 4
    assert ("deny", "write", "topic", "in-", "prefixed", "10.0.0.0/8") in acls(json.dumps(described["acls"]))
    assert {"role": "readers", "members": ["Group:ops", "User:pam"], "acls": 4} in json.loads(
        call("role", "list", "--json")
    )
    call("role", "revoke", "readers", *barred, "--host", "10.0.0.0/8")
    call("role", "unbind", "readers", "User:pam")
    described = json.loads(call("role", "describe", "readers", "--json"))
    assert [each["member"] for each in described["members"]] == ["Group:ops"]
    assert len(described["acls"]) == 3
    call("role", "delete", "readers", stdin="n\n")
    call("role", "delete", "readers", "--force")
    assert "no role" in call("role", "describe", "readers", code=1)
    assert json.loads(call("acl", "list", "--principal", "Role:readers", "--json")) == []


def test_a_broker_without_an_authorizer_says_so(broker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["acl", "list", "-b", broker.bootstrap]) == 1
    assert capsys.readouterr().err == "ottla: No Authorizer is configured.\n"


def test_quotas(call: Call) -> None:
    call("quota", "set", "--user", "ann", "producer_byte_rate=1000", "request_percentage=12.5")
    call("quota", "set", "--user", "ann", "--client-id-default", "consumer_byte_rate=5")
    call("quota", "set", "--ip", "192.0.2.1", "connection_creation_rate=7")
    call("quota", "set", "--client-id", "app", "consumer_byte_rate=5", "--validate-only")
    of_ann = {
        ("ann", None, None, "producer_byte_rate", 1000),
        ("ann", None, None, "request_percentage", 12.5),
    }
    by_default = {("ann", "<default>", None, "consumer_byte_rate", 5)}
    of_address = {(None, None, "192.0.2.1", "connection_creation_rate", 7)}
    assert rows(call("quota", "list", "--json")) == of_ann | by_default | of_address
    assert rows(call("quota", "list", "--user", "ann", "--json")) == of_ann | by_default
    assert rows(call("quota", "list", "--user", "ann", "--strict", "--json")) == of_ann
    call("quota", "remove", "--user", "ann", "request_percentage")
    call("quota", "remove", "--user", "ann", "--client-id-default")
    assert rows(call("quota", "list", "--user", "ann", "--json")) == {
        ("ann", None, None, "producer_byte_rate", 1000)
    }
    call("quota", "remove", "--user", "ann")
    call("quota", "remove", "--ip", "192.0.2.1")
    assert rows(call("quota", "list", "--json")) == set()
    assert "Invalid configuration key" in call(
        "quota", "set", "--user", "ann", "connection_creation_rate=1", code=1
    )
    assert "Say whose" in call("quota", "set", "producer_byte_rate=1", code=2)
    assert "no number above 0" in call("quota", "set", "--user", "ann", "producer_byte_rate=0", code=2)
    assert "exclude" in call("quota", "remove", "--user", "ann", "--user-default", code=2)


LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="p" user_bob="p";'


def test_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": LOGIN,
        "delegation.token.secret.key": "secret",
        "connection.failed.authentication.delay.ms": "0",
    }

    def call(who: str, *arguments: str, code: int = 0) -> str:
        done = run(("token", *arguments, "--command-config", str(tmp_path / who)))
        said = capsys.readouterr()
        assert done == code, said
        return said.err if code else said.out

    def login(who: str, mechanism: str, text: str) -> None:
        lines = ("security.protocol=SASL_PLAINTEXT", f"sasl.mechanism={mechanism}", text)
        (tmp_path / who).write_text("\n".join(lines))

    for name in ("ann", "bob"):
        login(name, "PLAIN", f"sasl.username={name}\nsasl.password=p")
    with run_broker(settings) as broker:
        monkeypatch.setenv("OTTLA_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        (made,) = json.loads(call("ann", "create", "--renewer", "User:bob", "--hours", "48", "--json"))
        assert (made["owner"], made["requester"], made["renewers"]) == ("User:ann", "User:ann", ["User:bob"])
        assert made["hmac"] not in call("ann", "list"), "a secret, unless it is asked for"
        assert json.loads(call("ann", "list", "--hmac", "--json")) == [made]
        assert json.loads(call("bob", "list", "--owner", "User:eve", "--json")) == []
        renewed = call("bob", "renew", made["hmac"], "--hours", "1").strip()
        assert made["issued"] < renewed < made["expires"]
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        secret = f'username="{made["id"]}" password="{made["hmac"]}" tokenauth="true"'
        login("program", "SCRAM-SHA-512", f"sasl.jaas.config={module} required {secret};")
        assert "delegation token request not allowed" in call("program", "list", code=1).lower()
        assert "no HMAC in base64" in call("ann", "expire", "not base64", code=2)
        monkeypatch.setattr(sys, "stdin", io.StringIO(made["hmac"] + "\n"))
        call("ann", "expire", "-")
        assert json.loads(call("ann", "list", "--json")) == []
        assert "authentication failed" in call("program", "list", code=1).lower()
