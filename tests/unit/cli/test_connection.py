import socket

import click
import pytest

from ottla.cli.connection import (
    CommandError,
    Connection,
    addresses,
    check_each,
    in_words,
    listen_address,
)
from ottla.cli.properties import Properties
from ottla.client.admin.results import Results
from ottla.client.errors import BrokerUnreachableError, RequestTimeoutError, broker_error


def connection(servers, **properties):
    return Connection(
        servers, Properties({name.replace("_", "."): value for name, value in properties.items()})
    )


def test_addresses():
    assert addresses("a:1, b ,PLAINTEXT://c:3,[::1]:4,[::1]") == [
        ("a", 1),
        ("b", 9092),
        ("c", 3),
        ("::1", 4),
        ("::1", 9092),
    ]


@pytest.mark.parametrize("text", ["a:b", "a:", "a:1,b:-2", "a:65536", "a:²"])
def test_what_is_no_address(text):
    with pytest.raises(click.UsageError, match="no HOST:PORT"):
        addresses(text)


@pytest.mark.parametrize("text", ["", "a:1,b:2"])
def test_one_address_to_listen_on(text):
    assert listen_address(":0") == ("", 0)
    with pytest.raises(click.UsageError, match="is no HOST:PORT"):
        listen_address(text)


def test_the_callers_properties_win():
    settings = connection("h:1", client_id="mine").settings()
    assert (settings.client_id, settings.bootstrap_servers) == ("mine", ("h:1",))
    assert connection("[::1]:4,b").settings().bootstrap_servers == ("[::1]:4", "b:9092")


def test_a_cluster_that_is_not_there_is_told_in_one_line():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # a port that nobody listens on
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(BrokerUnreachableError) as refused:
            _ = connection(address).admin
    assert in_words(refused.value) == f"no broker can be reached: {address}: connection refused"


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "é" * 60])
def test_a_name_that_no_host_can_have(host):
    with pytest.raises(BrokerUnreachableError, match="no broker can be reached"):
        _ = connection(f"{host}:1").admin


@pytest.mark.parametrize(("name", "value"), [("no.such", "x"), ("request.timeout.ms", "soon"), ("acks", "1")])
def test_properties_that_are_none_are_a_wrong_call(name, value):
    with pytest.raises(click.UsageError, match=name):
        Connection("h:1", Properties({name: value})).settings()


def test_refusals_in_words():
    assert in_words(broker_error(3)) == "Unknown topic or partition"
    assert in_words(broker_error(3, what="t-0")) == "Unknown topic or partition"
    assert in_words(broker_error(42, "no\nsuch  level")) == "no such level"
    assert in_words(RequestTimeoutError("not done\nwithin 30000 ms")) == "not done within 30000 ms"


def test_each_failure_is_told(capsys):
    results = Results({"a": broker_error(3), "b": 1, "c": broker_error(29), "d": broker_error(7, "late")})
    with pytest.raises(CommandError, match="^d!: late$"):
        check_each(results, lambda name: f"{name}!")
    assert capsys.readouterr().err == (
        "ottla: a!: Unknown topic or partition\nottla: c!: Topic authorization failed\n"
    )
    assert check_each(Results({"b": 1})) == {"b": 1}


def test_no_address_at_all():
    with pytest.raises(CommandError, match="no address given"):
        connection(",").settings()
