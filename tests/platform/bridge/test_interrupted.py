"""What waits, and is not waited for to its end: by its client, or by the bridge."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
from tests.platform.bridge.bridge_process import Api, Consumer, embedded
from tests.platform.bridge.conftest import Start


def assigned(api: Api, topic: str, **settings: object) -> Consumer:
    api.call("POST", "/admin/topics", {"topic_name": topic})
    consumer = api.consumer(f"of-{topic}", format="json", **settings)
    partitions = [{"topic": topic, "partition": 0}]
    assert consumer.post("assignments", {"partitions": partitions}).status == 204
    return consumer


def asked_for_records(api: Api, consumer: Consumer) -> socket.socket:
    """A connection by which they are waited for: by now, for others have been answered since."""
    host, port = urlsplit(api.url).netloc.split(":")
    made = socket.create_connection((host, int(port)), timeout=60)
    head = (
        f"GET {consumer.path}/records?timeout=60000 HTTP/1.1\r\nHost: x\r\nAccept: {embedded('json')}\r\n\r\n"
    )
    made.sendall(head.encode())
    for _ in range(2):
        assert api.get("/healthy").status == 200
    return made


def answer(connection: socket.socket) -> str:
    with connection:
        return connection.recv(4096).decode()


@pytest.mark.parametrize("count", [1, 3], ids=["one", "with_others_behind_it"])
def test_records_are_for_who_waits_for_them(api: Api, count: int) -> None:
    consumer = assigned(api, f"gone-{count}")
    for _ in range(count):
        asked_for_records(api, consumer).close()
    assert api.send(f"gone-{count}", [{"value": n} for n in range(3)]).status == 200
    assert [each["value"] for each in consumer.take(3)] == [0, 1, 2]
    consumer.delete()


def test_a_look_takes_no_records(api: Api) -> None:
    consumer = assigned(api, "looked-at")
    assert api.send("looked-at", [{"value": 1}]).status == 200
    looked = api.call("HEAD", f"{consumer.path}/records", headers={"Accept": embedded("json")})
    assert looked.status == 405
    assert [each["value"] for each in consumer.take(1)] == [1]
    consumer.delete()


def test_a_consumer_that_is_deleted_keeps_nobody_waiting(api: Api) -> None:
    consumer = assigned(api, "deleted")
    waiting = [asked_for_records(api, consumer) for _ in range(2)]  # the second waits for its turn
    assert consumer.delete().status == 204
    for each in waiting:
        assert answer(each).startswith("HTTP/1.1 404")


def test_it_stops_while_somebody_waits(start: Start) -> None:
    process = start()
    consumer = assigned(process.api, "stopped")
    waiting = asked_for_records(process.api, consumer)
    assert process.stop() == 0
    assert answer(waiting).startswith("HTTP/1.1 503")


def test_waiting_has_an_end(start: Start) -> None:
    settings = {
        "kafka.producer.max.block.ms": "1000",
        "kafka.producer.allow.auto.create.topics": "false",
        "ottla.bridge.poll.max.ms": "200",
    }
    api = start(**settings).api
    consumer = assigned(api, "awaited")
    assert consumer.poll("?timeout=3600000").json == []
    # A topic that does not come is waited for once, not for each of the records.
    sent = api.send("never", [{"value": n} for n in range(100)])
    assert [each["error_code"] for each in sent.json["offsets"]] == [404] * 100


def test_who_assigns_nothing_may_subscribe(api: Api) -> None:
    consumer = assigned(api, "given-up")
    assert consumer.post("assignments", {"partitions": []}).status == 204
    assert consumer.poll().status == 500
    assert consumer.post("subscription", {"topics": ["given-up"]}).status == 204
    consumer.delete()


def test_what_had_no_room_is_not_committed(api: Api) -> None:
    """By a consumer that commits by itself, as it does where nobody says otherwise."""
    sent = list(range(6))
    assert api.send("committed", [{"value": n, "key": "x" * 100} for n in sent]).status == 200
    seen: list[int] = []
    while len(seen) < len(sent):
        consumer = api.consumer("auto", format="json")
        assert consumer.post("subscription", {"topics": ["committed"]}).status == 204
        while not (found := consumer.poll("?timeout=1000&max_bytes=500").json):
            pass
        seen += [each["value"] for each in found]
        assert consumer.delete().status == 204
    assert seen == sent
