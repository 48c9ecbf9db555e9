"""Records as samples, beside Debian's Prometheus."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from tests.platform.connect.databases import free_port
from tests.platform.connect.services import prometheus
from tests.platform.connect.web import Answer, web_server

from ottla.connect.connectors.prometheus import PrometheusRemoteWriteSinkConnector
from ottla.connect.data import FLOAT64, STRING, Struct, Value, map_of, struct_of
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.testing import SinkKit

pytestmark = pytest.mark.xdist_group("prometheus")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), free_port()) as running:
        yield running


def sink(url: str, **settings: str) -> SinkKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return SinkKit(PrometheusRemoteWriteSinkConnector, {"remote.write.url": f"{url}/api/v1/write", **named})


def record(value: Value, offset: int = 0, timestamp: int | None = None) -> SinkRecord:
    schema = value.schema if isinstance(value, Struct) else None
    return SinkRecord("t", 0, offset, value_schema=schema, value=value, timestamp=timestamp)


def found(url: str, query: str) -> list[tuple[dict[str, str], list[tuple[float, str]]]]:
    asked = f"{url}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(asked, timeout=30) as response:
        result = json.load(response)["data"]["result"]
    return [(each["metric"], [tuple(one) for one in each["values"]]) for each in result]


def test_samples_arrive_once_in_their_series(url: str) -> None:
    now = int(time.time()) * 1000
    double = struct_of({"doubleValue": FLOAT64})
    metric = struct_of({"name": STRING, "dimensions": map_of(STRING, STRING), "values": double})
    dimensions = {"room": "a", "empty": "", "2nd-floor": "ü"}
    number = Struct(double, {"doubleValue": 1.5})
    values = Struct(metric, {"name": "temp.in side", "dimensions": dimensions, "values": number})
    records = [
        record({"name": "load", "value": 2, "labels": {"n": 1}, "timestamp": now - 2000}),
        record(values, 1, now - 3000),
        record({"name": "load", "value": -1e300, "labels": {"n": 1}, "timestamp": now - 3000}, 2),
        record({"name": "load", "value": 0.5, "labels": {"n": 2}}, 3, now),
        record(None, 4),
    ]
    with sink(url, external_labels="site=b,zone=c=d") as kit:
        kit.put("t", records)
        kit.put("t", records)
        assert kit.errant == []
    site = {"site": "b", "zone": "c=d"}
    assert sorted(found(url, 'load{site="b"}[1m]'), key=str) == [
        ({"__name__": "load", "n": "1", **site},
         [((now - 3000) / 1000, "-1e+300"), ((now - 2000) / 1000, "2")]),
        ({"__name__": "load", "n": "2", **site}, [(now / 1000, "0.5")]),
    ]  # fmt: skip
    ((labels, samples),) = found(url, "temp_in_side[1m]")
    assert labels == {"__name__": "temp_in_side", "room": "a", "_2nd_floor": "ü", **site}
    assert samples == [((now - 3000) / 1000, "1.5")]


def test_what_is_no_metric_or_too_old_is_told_alone(url: str) -> None:
    now = int(time.time()) * 1000
    with sink(url, behavior_on_old_samples="fail") as kit:
        kit.put("t", [record({"name": "old", "value": 1}, 0, now)])
        kit.put("t", [
            record({"name": "new", "value": 3}, 2, now), record({"value": 1}, 3, now),
            record({"name": "old", "value": 2}, 1, now - 86_400_000),
            record({"name": "x", "value": "1"}, 4, now), record({"name": "x", "value": 1}, 5),
            record("text", 6, now), record("\udcff", 7, now),
            record(f'{{"name": "x", "value": 1{"0" * 400}}}', 8, now),
            record({"name": "x", "value": 1, "timestamp": 2**63}, 9),
        ])  # fmt: skip
        told = {one.offset: str(error) for one, error in kit.errant}
    assert sorted(told) == [1, 3, 4, 5, 6, 7, 8, 9]
    assert "400 " in told[1]
    assert "no number as its value: '1'" in told[4]
    assert [samples[0][1] for _, samples in found(url, "new[1m]")] == ["3"]


def test_a_server_that_is_busy_gets_samples_again() -> None:
    with web_server() as web:
        web.answers = [Answer(429, b"slow down", {"Retry-After": "3"}), Answer(500, b""), Answer(204, b"")]
        with sink(web.url, headers="X-Scope-OrgID: me") as kit:
            for _ in range(2):
                with pytest.raises(RetriableError):
                    kit.put("t", [record({"name": "a", "value": 1}, 0, 1)])
            kit.put("t", [record({"name": "a", "value": 1}, 0, 1)])
        assert web.asked[0].headers["x-scope-orgid"] == "me"
        assert len({one.body for one in web.asked}) == 1
    with (
        pytest.raises(ConnectError, match=r"external.labels has 'a'.*NAME:VALUE"),
        sink("http://h", external_labels="a"),
    ):
        pass
