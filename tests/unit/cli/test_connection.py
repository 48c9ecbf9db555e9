import socket

import click
import pytest
from confluent_kafka import KafkaError

from ottla.cli.connection import (
    CommandError,
    Connection,
    addresses,
    check_each,
    in_words,
    tell_outage,
)
from ottla.client.admin.results import Results
from ottla.client.errors import RequestTimeoutError, broker_error


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


def test_the_callers_properties_win():
    config = Connection("h:1", (("client.id", "mine"), ("linger.ms", "7"))).config(
        linger_ms=5, on_delivery=print
    )
    assert config["bootstrap.servers"] == "h:1"
    assert (config["client.id"], config["linger.ms"], config["on_delivery"]) == ("mine", "7", print)


def test_a_cluster_that_is_not_there_is_told_in_one_line():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # a port that nobody listens on
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(CommandError) as refused:
            _ = Connection(address).admin
    assert refused.value.message == f"no broker answers at {address}: Connection refused"


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "é" * 60])
def test_a_name_that_no_host_can_have(host):
    with pytest.raises(CommandError, match="is no name of a host"):
        _ = Connection(f"{host}:1").admin


def test_servers_given_as_a_property_win():
    with pytest.raises(CommandError, match="no broker answers at ,: no address given"):
        _ = Connection("a..b:1", (("bootstrap.servers", ","),)).admin


def test_properties_that_are_no_text_are_a_wrong_call():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        for name in ("error_cb", "stats_cb", "no.such"):
            with pytest.raises(click.UsageError, match=name):
                _ = Connection(address, ((name, "x"),)).confluent_admin
        for name, value in (("no.such", "x"), ("request.timeout.ms", "soon")):
            with pytest.raises(click.UsageError, match=name):
                _ = Connection(address, ((name, value),)).admin


def test_an_outage_is_told_once_for_each_report_of_the_client(capsys):
    tell_outage(KafkaError(KafkaError._TRANSPORT, "one broker of many"))
    tell_outage(KafkaError(KafkaError._ALL_BROKERS_DOWN, "2/2 brokers are down"))
    assert capsys.readouterr().err == (
        "ottla: the cluster does not answer (2/2 brokers are down), trying again\n"
    )


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


def test_how_large_records_may_be():
    assert Connection("h").record_max_bytes == 1_000_000
    assert Connection("h", (("message.max.bytes", "5000"),)).record_max_bytes == 5000


def test_no_address_at_all():
    with pytest.raises(CommandError, match="no address given"):
        Connection(",").consumer(group_id="g")
