import socket

import click
import pytest

from ottla.cli.connection import CommandError, Connection, addresses, parse_properties


def test_addresses():
    assert addresses("a:1, b ,PLAINTEXT://c:3,[::1]:4,[::1]") == [
        ("a", 1),
        ("b", 9092),
        ("c", 3),
        ("::1", 4),
        ("::1", 9092),
    ]


@pytest.mark.parametrize("text", ["a:b", "a:", "a:1,b:-2"])
def test_what_is_no_address(text):
    with pytest.raises(click.UsageError, match="no HOST:PORT"):
        addresses(text)


def test_properties():
    assert parse_properties(None, None, ["a=b=c", "d="]) == (("a", "b=c"), ("d", ""))
    with pytest.raises(click.BadParameter, match="not name=value"):
        parse_properties(None, None, ["a"])


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


def test_no_address_at_all():
    with pytest.raises(CommandError, match="no address given"):
        Connection(",").consumer(group_id="g")
