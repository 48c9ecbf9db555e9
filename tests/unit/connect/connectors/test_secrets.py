"""What may have a password is not shown: neither as a setting's value nor in an error."""

from __future__ import annotations

import json
import traceback

import pytest

from ottla.connect.config_infos import config_infos
from ottla.connect.connectors.objects.sink import ObjectSinkConnector
from ottla.connect.connectors.objects.store import open_store
from ottla.connect.connectors.redis.sink import RedisSinkConnector
from ottla.connect.connectors.redis.sources import RedisKeysSourceConnector, RedisStreamSourceConnector
from ottla.connect.connectors.sql.sink import SqlSinkConnector
from ottla.connect.connectors.sql.source import SqlSourceConnector
from ottla.connect.errors import ConfigError
from ottla.connect.sdk import Connector

REDIS = ("redis.uri", ["redis://me:hunter2@host", "moon://me:hunter2@host", "redis://me:hunter2/x@host"])
STORE = (
    "store.uri",
    [
        "s3://me:hunter2@bucket",
        "moon://me:hunter2@bucket",
        "s3://me:hunter2@bucket/ x",
        "s3://me:hunter2/x@b",
    ],
)
TABLES = (
    "connection.url",
    ["postgresql://me:hunter2@host/x", "moon://me:hunter2@host/x", "jdbc:moon:hunter2", "me:hunter2@host"],
)


@pytest.mark.parametrize(
    ("connector", "setting", "uri"),
    [
        (connector, setting, uri)
        for connector, (setting, uris) in (
            (RedisSinkConnector, REDIS),
            (RedisStreamSourceConnector, REDIS),
            (RedisKeysSourceConnector, REDIS),
            (ObjectSinkConnector, STORE),
            (SqlSinkConnector, TABLES),
            (SqlSourceConnector, TABLES),
        )
        for uri in uris
    ],
)
def test_a_uri_with_a_password_is_hidden(connector: type[Connector], setting: str, uri: str) -> None:
    given = {
        setting: uri, "format.class": "JsonFormat", "flush.size": "1", "redis.stream.name": "s",
        "topic": "t", "topic.prefix": "t-", "mode": "bulk",
    }  # fmt: skip
    it = connector()
    keys = it.config().keys
    told = json.dumps(config_infos("it", keys, it.validate(given), []).to_json())
    assert '"[hidden]"' in told
    assert "hunter2" not in told


def test_an_error_of_the_store_is_without_its_cause_which_has_the_uri() -> None:
    settings = ObjectSinkConnector().settings({
        "store.uri": "moon://me:hunter2@bucket", "format.class": "JsonFormat", "flush.size": "1",
    })  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        open_store(settings)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("connector", [RedisSinkConnector, SqlSinkConnector])
def test_a_uri_that_is_empty_is_refused(connector: type[Connector]) -> None:
    [setting] = {"redis.uri", "connection.url"} & connector().config().keys.keys()
    with pytest.raises(ConfigError, match=f"{setting}: String must be non-empty"):
        connector().settings({setting: ""})
