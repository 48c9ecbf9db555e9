"""A stream of Redis through a topic into hashes and a web server, by a worker."""

from __future__ import annotations

import json

import pytest
import redis
from tests.platform.connect.conftest import Start
from tests.platform.connect.web import Answer, Request, web_server
from tests.platform.connect.worker_process import wait_until

pytestmark = pytest.mark.xdist_group("redis")

ENTRIES = 300


@pytest.mark.slow
def test_records_arrive_and_one_that_is_refused_is_left_out(
    start: Start, redis_port: int, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--full"):
        pytest.skip("a worker with three connectors is started with --full")
    client = redis.Redis(port=redis_port, decode_responses=True)
    client.flushall()
    entries = {f"{n}-0": {"n": str(n), "name": f"é{n}"} for n in range(1, ENTRIES + 1)}
    pipeline = client.pipeline()
    for entry, fields in entries.items():
        pipeline.xadd("orders", fields, id=entry)
    pipeline.rpush("copy:7-0", "a list, which takes no fields")
    pipeline.execute()
    uri = f"redis://127.0.0.1:{redis_port}"
    with web_server() as web:
        web.answer = lambda request: Answer(503 if len(web.asked) == 1 else 200)
        kafka = "org.apache.kafka.connect"
        worker = start("standalone", key_converter=f"{kafka}.storage.StringConverter",
                       value_converter=f"{kafka}.json.JsonConverter")  # fmt: skip
        worker.ready()
        worker.api.create("out", connector_class="RedisStreamSource", redis_uri=uri,
                          redis_stream_name="orders", topic="orders")  # fmt: skip
        worker.api.create(
            "hashes", connector_class="com.redis.kafka.connect.RedisSinkConnector", topics="orders",
            redis_uri=uri, redis_type="HASH", redis_keyspace="copy", errors_tolerance="all",
            errors_log_enable="true",
        )  # fmt: skip
        worker.api.create(
            "web", connector_class="io.confluent.connect.http.HttpSinkConnector", topics="orders",
            http_api_url=f"{web.url}/${{topic}}", batch_max_size="100", batch_key_pattern="${topic}",
            batch_json_as_array="true", retry_backoff_ms="10",
        )  # fmt: skip

        def tell() -> object:
            states = [
                worker.api.call("GET", f"/connectors/{name}/status") for name in ("out", "hashes", "web")
            ]
            return len(client.keys("copy:*")), len(web.asked), states

        wait_until(lambda: len(client.keys("copy:*")) == ENTRIES, tell)
        wait_until(lambda: len(taken(web.asked)) == ENTRIES, tell)
        assert worker.api.states("hashes") == ["RUNNING", "RUNNING"]
        del entries["7-0"]
        assert {key: client.hgetall(f"copy:{key}") for key in entries} == entries
        assert [each["n"] for each in taken(web.asked)] == [str(n) for n in range(1, ENTRIES + 1)]
        assert worker.stop() == 0
    client.close()


def taken(asked: list[Request]) -> list[dict[str, str]]:
    """Records of requests but the first, which was refused."""
    return [record for request in list(asked)[1:] for record in json.loads(request.body)]
