import click
import pytest

from ottla.cli.moving import parse_topic


def test_topics_with_partitions():
    assert parse_topic("t") == ("t", [])
    assert parse_topic("t:0,2") == ("t", [0, 2])


@pytest.mark.parametrize("text", ["t:", "t:a", "t:1,"])
def test_what_is_no_topic_with_partitions(text):
    with pytest.raises(click.UsageError, match="is not TOPIC"):
        parse_topic(text)
