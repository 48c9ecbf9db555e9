"""Distributed workers: work is shared, handed over when one is killed, and found again when it is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.platform.connect.worker_process import Api, WorkerProcess, wait_until

from ottla import client
from ottla.testing import InProcessBroker

Start = Callable[..., WorkerProcess]


def settings(group: str, **more: str) -> dict[str, str]:
    return {
        "group_id": group,
        **{f"{each}_storage_topic": f"{group}-{each}" for each in ("config", "offset", "status")},
        "scheduled_rebalance_max_delay_ms": "1000",
        **more,
    }


def values(broker: InProcessBroker, topic: str, isolation: str = "read_uncommitted") -> list[bytes]:
    with client.connect(broker.bootstrap_servers) as connected:
        if topic not in [each.name for each in connected.admin.topics.list()]:
            return []
        read: list[bytes] = connected.read(topic, isolation=isolation).column("value").to_pylist()
        return read


def workers_of(api: Api, name: str) -> list[str]:
    status = api.get(f"/connectors/{name}/status")
    return [each["worker_id"] for each in (status["connector"], *status["tasks"])]


@pytest.mark.timeout(180)
def test_two_workers_share_and_take_over(start: Start, tmp_path: Path, broker: InProcessBroker) -> None:
    group = settings("shared")
    first, second = start("distributed", **group), start("distributed", **group)
    one, two = first.ready(), second.ready()
    files = {f"f{number}": tmp_path / f"f{number}" for number in range(4)}
    wanted: dict[str, list[bytes]] = {name: [] for name in files}

    def add(count: int) -> None:
        for name, file in files.items():
            with file.open("a") as added:
                for _ in range(count):
                    line = f"{name} {len(wanted[name])}"
                    added.write(f"{line}\n")
                    wanted[name].append(line.encode())

    add(100)
    for number, (name, file) in enumerate(files.items()):
        (one, two)[number % 2].create(name, connector_class="FileStreamSource", file=str(file), topic=name)
    for name in files:
        one.wait_for(name, "RUNNING", "RUNNING")
        wait_until(lambda: two.states(name) == ["RUNNING", "RUNNING"])  # noqa: B023 - called at once
    ids = {each.url.partition("://")[2].strip("/") for each in (one, two)}
    wait_until(lambda: {each for name in files for each in workers_of(one, name)} == ids)
    for victim, survivor in ((first, two), (second, None)):
        victim.kill()
        add(100)
        if survivor is None:
            survivor = start("distributed", **group).ready()
        for name in files:
            gone = victim.api.url.partition("://")[2].strip("/")
            wait_until(lambda: gone not in workers_of(survivor, name))  # noqa: B023 - called at once
            survivor.wait_for(name, "RUNNING", "RUNNING")
        for name in files:  # at least once, in order but for what came again
            wait_until(lambda: list(dict.fromkeys(values(broker, name))) == wanted[name])  # noqa: B023
    assert survivor is not None
    for name in files:
        assert survivor.call("DELETE", f"/connectors/{name}").status == 204
    wait_until(lambda: survivor.get("/connectors?expand=status") == {})


@pytest.mark.timeout(180)
def test_exactly_once_source_while_its_worker_is_killed(
    start: Start, tmp_path: Path, broker: InProcessBroker
) -> None:
    group = settings("once", exactly_once_source_support="enabled")
    file = tmp_path / "in.txt"
    wanted = [f"line {number}".encode() for number in range(30_000)]
    file.write_bytes(b"".join(line + b"\n" for line in wanted))
    worker = start("distributed", **group)
    once = {"exactly_once_support": "required", "batch_size": "200"}
    worker.ready().create("once", connector_class="FileStreamSource", file=str(file), topic="once", **once)
    for part in (3_000, 12_000):
        wait_until(lambda: len(values(broker, "once", "read_committed")) >= part)  # noqa: B023 - called at once
        worker.kill()
        worker = start("distributed", **group)
        worker.ready()
    wait_until(lambda: len(values(broker, "once", "read_committed")) >= len(wanted))
    assert values(broker, "once", "read_committed") == wanted
