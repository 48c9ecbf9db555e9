"""Instances of an application that ask each other, against a broker in this process."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.streams import (
    Long,
    SessionWindows,
    Store,
    Streams,
    StreamsBuilder,
    StreamsError,
    Text,
    TimeWindows,
    Topology,
    Window,
    Windowed,
)
from ottla.streams.queries.errors import QueryError, StoreUnavailableError
from ottla.streams.queries.routes import Routes, StoreSources
from ottla.testing import run_broker

USERS = [f"u{number}" for number in range(12)]
START_MS = int(time.time() * 1000) // 10_000 * 10_000


def topology() -> Topology:
    b = StreamsBuilder(default_key=Text(), default_value=Long())
    grouped = b.stream("orders").group_by_key()
    grouped.count(Store("counts"))
    grouped.windowed_by(TimeWindows.of("10s", grace="1d")).count(Store("windows"))
    grouped.windowed_by(SessionWindows.of("5s", grace="1d")).count(Store("sessions"))
    return b.build()


def instance(servers: str, folder: Path) -> Streams:
    settings: dict[str, object] = {
        "application.id": "shop",
        "bootstrap.servers": servers,
        "state.dir": str(folder),
        "commit.interval.ms": 30,
        "num.standby.replicas": 1,
        "session.timeout.ms": 2_000,
        "heartbeat.interval.ms": 100,
        "application.server": "127.0.0.1:0",
    }
    return Streams(topology(), settings)


def eventually(condition: object, timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            if condition():  # type: ignore[operator]
                return
        except StoreUnavailableError:
            pass
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    settings = {"group.initial.rebalance.delay.ms": 0, "group.min.session.timeout.ms": 1_000}
    with run_broker(settings) as broker, client.connect(broker.bootstrap_servers) as c:
        c.admin.topics.create([NewTopic("orders", 4, 1)]).check()
        with c.producer() as producer:
            for user in USERS:
                for second in (0, 2, 12):
                    at = START_MS + second * 1000
                    producer.send("orders", (1).to_bytes(8), key=user.encode(), timestamp=at)
            producer.flush()
        yield broker.bootstrap_servers


def test_every_instance_answers_for_all(servers: str, tmp_path: Path) -> None:
    with instance(servers, tmp_path / "a") as a, instance(servers, tmp_path / "b") as b:
        for app in (a, b):
            eventually(lambda: len(list(app.query("counts").all())) == len(USERS))  # noqa: B023
            eventually(lambda: all(each.value == 3 for _, each in app.query("counts").all()))  # noqa: B023
            eventually(lambda: app.metrics()["shop-StreamThread-1"]["active_tasks"] == 2)  # noqa: B023
        owners = {a.metadata_for_key("counts", user).active for user in USERS}
        assert len(owners) == 2
        for app in (a, b):
            counts = app.query("counts")
            assert {user: counts.get(user).value for user in USERS} == dict.fromkeys(USERS, 3)
            assert counts.get("nobody") is None
            assert {key for key, _ in counts.range("u0", "u1")} == {"u0", "u1"}
            assert len(list(counts.range(None, None))) == len(USERS)
            windows = app.query("windows")
            assert windows.fetch("u3", START_MS).value == 2
            found = [(start, each.value) for start, each in windows.fetch("u3", START_MS, START_MS + 20_000)]
            assert found == [(START_MS, 2), (START_MS + 10_000, 1)]
            every = dict(windows.fetch_all(START_MS, START_MS))
            assert {key.key for key in every} == set(USERS)
            assert every[Windowed("u3", Window(START_MS, START_MS + 10_000))].value == 2
            sessions = [(key.window.start - START_MS, n) for key, n in app.query("sessions").fetch("u3")]
            assert sessions == [(0, 2), (12_000, 1)]
            assert len(list(windows.fetch_keys("u3", "u3", START_MS, START_MS + 20_000))) == 2
            with pytest.raises(QueryError, match="another kind of store"):
                windows.get("u3")
            with pytest.raises(StreamsError, match="no store nothing"):
                app.query("nothing")


def test_standbys_answer_where_they_may_lag(servers: str, tmp_path: Path) -> None:
    everything = {store: dict.fromkeys(range(4), 0) for store in ("counts", "windows", "sessions")}
    with instance(servers, tmp_path / "a") as a, contextlib.ExitStack() as later:
        eventually(lambda: a.lags() == everything)  # all tasks run here
        b = later.enter_context(instance(servers, tmp_path / "b"))
        eventually(lambda: all(t.metrics()["shop-StreamThread-1"]["active_tasks"] == 2 for t in (a, b)))
        eventually(lambda: a.lags() == everything)  # two tasks run here, two are followed
        place = next(
            place
            for place in (a.metadata_for_key("counts", user) for user in USERS)
            if place.active != a._server.address  # type: ignore[union-attr]
        )
        assert place.standby == (a._server.address,)  # type: ignore[union-attr]
        b._server.close()  # type: ignore[union-attr] # its HTTP alone is away
        with pytest.raises(StoreUnavailableError, match="partition . of the store counts .* does not answer"):
            list(a.query("counts").all())
        lagging = a.query("counts", max_lag=0)
        assert {key: each.value for key, each in lagging.all()} == dict.fromkeys(USERS, 3)
        work = next(
            each for each in a._threads[0]._works.values() if each.task_id.partition == place.partition
        )
        work.lags = dict.fromkeys(work.lags, 5)
        a._threads[0]._restoring._see_lags = lambda _: None  # type: ignore[method-assign]
        work.lags = dict.fromkeys(work.lags, 5)
        with pytest.raises(StoreUnavailableError, match="lacks 5 records"):
            list(lagging.all())
        assert len(list(a.query("counts", max_lag=5).all())) == len(USERS)


@pytest.mark.usefixtures("no_collection")
def test_what_is_no_question_is_refused(servers: str, tmp_path: Path) -> None:
    def told(method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection(*app._server.address, timeout=10)  # type: ignore[union-attr]
        connection.request(method, path, body)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    good = {"store": "counts", "kind": "get", "arguments": ["dTA="], "partitions": [0], "max_lag": None}
    with instance(servers, tmp_path / "a") as app:
        eventually(lambda: app.query("counts").get("u0") is not None)
        assert told("POST", "/v1/query", json.dumps(good).encode())[0] == 200
        for name, wrong in (
            ("store", "none"), ("store", 1), ("kind", "put"), ("arguments", []), ("arguments", ["*"]),
            ("arguments", [7]), ("partitions", ["0"]), ("partitions", 0), ("max_lag", "all"),
        ):  # fmt: skip
            status, answer = told("POST", "/v1/query", json.dumps(good | {name: wrong}).encode())
            assert status == 400, (name, wrong)
            assert answer["message"]
        for body in (b"", b"[", b"[" * 100_000, b"null", b"\xff", b" " * (1 << 20) + b"1"):
            assert told("POST", "/v1/query", body)[0] == 400
        assert told("GET", "/v1/query")[0] == 404
        status, seen = told("GET", "/v1/instances")
        assert status == 200
        assert [each["active"] for each in seen] == [[f"orders-{number}" for number in range(4)]]
        assert told("GET", "/v1/lags") == (200, {s: {str(n): 0 for n in range(4)} for s in ("counts", "windows", "sessions")})  # type: ignore[comparison-overlap] # noqa: E501 # fmt: skip


def test_without_an_application_server_only_what_is_here_is_asked(servers: str, tmp_path: Path) -> None:
    settings = {"application.id": "alone", "bootstrap.servers": servers, "state.dir": str(tmp_path)}
    b = StreamsBuilder(default_key=Text(), default_value=Long())
    b.global_table("users", key=Text(), value=Text(), materialized=Store("users"))
    b.stream("orders").group_by_key().count(Store("counts"))
    app = Streams(b.build(), settings)
    with pytest.raises(StreamsError, match=r"application\.server"):
        app.query("counts")
    with pytest.raises(StreamsError, match="every instance has all of the store users"):
        app.query("users")
    app.close()
    with pytest.raises(Exception, match="no HOST:PORT"):
        Streams(topology(), settings, application_server="host")


def test_a_key_is_where_kafkas_partitioner_puts_it() -> None:
    mine, other = ("a", 1), ("b", 2)
    routes = Routes(
        {mine: [("orders", 0), ("users", 0)], other: [("orders", 1)]},
        {mine: [("orders", 1)]},
        {"counts": StoreSources(("orders",), 2)},
    )
    assert routes.place("counts", 0) == (0, mine, ())
    assert routes.place("counts", 1) == (1, other, (mine,))
    assert routes.place_of_key("counts", b"21").partition == -973932308 % 2  # Java: Utils.murmur2("21")
    assert [each.partition for each in routes.places("counts")] == [0, 1]
    with pytest.raises(StoreUnavailableError, match="not known yet"):
        routes.places("others")
