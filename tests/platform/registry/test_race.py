"""Three instances, many who register at once, and instances that are killed or stand still: one id for one
schema, for ever, and whoever reads `_schemas` in whatever order agrees.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest
from tests.platform.registry.registry_process import Api, RegistryProcess
from tests.platform.server_process import Answer

from ottla import client
from ottla.registry.state.state import RegistryState
from ottla.testing import InProcessBroker, run_broker

SETTINGS = {
    "kafkagroup_session_timeout_ms": "1000",
    "kafkagroup_heartbeat_interval_ms": "300",
    "kafkastore_timeout_ms": "5000",
    "ottla_registry_leader_wait_ms": "5000",
}
INSTANCES = 3
CLIENTS = 12
RACERS = 5
"""Who register the same schema, each under a subject of his own"""
PATIENCE_S = 60


class Instances:
    """A registry of several, each at an address that it keeps."""

    def __init__(self, broker: InProcessBroker, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self.processes = [self._start(0) for _ in range(INSTANCES)]
        self.apis = [each.ready() for each in self.processes]

    def _start(self, port: int) -> RegistryProcess:
        return RegistryProcess(self._broker.bootstrap_servers, self._folder, port=port, **SETTINGS)

    def again(self, number: int) -> None:
        port = int(self.apis[number].url.rpartition(":")[2])
        self.processes[number] = self._start(port)
        self.processes[number].ready()

    def kill(self, number: int) -> None:
        process = self.processes[number]
        process.kill()
        process.close()
        self.again(number)

    def pause(self, number: int, seconds: float) -> None:
        process = self.processes[number].process
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        for each in self.processes:
            each.close()


@pytest.fixture
def broker() -> Iterator[InProcessBroker]:
    settings = {"group.min.session.timeout.ms": 500, "group.initial.rebalance.delay.ms": 0}
    with run_broker(settings) as made:
        yield made


@pytest.fixture
def instances(broker: InProcessBroker, tmp_path: Path) -> Iterator[Instances]:
    made = Instances(broker, tmp_path)
    yield made
    made.close()


def persistently(call: Callable[[], Answer]) -> Answer:
    """The first answer that is one."""
    until = time.monotonic() + PATIENCE_S
    answer = None
    while time.monotonic() < until:
        with suppress(OSError, HTTPException):
            answer = call()
            if answer.status < 500:
                return answer
        time.sleep(0.05)
    raise AssertionError(f"no answer within {PATIENCE_S} s: {answer}")


def schema(number: int) -> str:
    fields = [{"name": f"f{number}", "type": "int"}]
    return json.dumps({"type": "record", "name": "R", "fields": fields})


def replayed(broker: InProcessBroker, shuffle: random.Random | None = None) -> RegistryState:
    """What the log says, read record by record."""
    state = RegistryState()
    with (
        client.connect(broker.bootstrap_servers) as connected,
        connected.consumer(isolation_level="read_committed", auto_offset_reset="earliest") as reader,
    ):
        reader.assign([("_schemas", 0)])
        records = list(reader.records(timeout_s=1))
    if shuffle is not None:
        shuffle.shuffle(records)
    for each in records:
        state.replay(each.key, each.value, each.offset, each.timestamp)
    return state


def test_one_id_for_one_schema(
    instances: Instances, broker: InProcessBroker, request: pytest.FixtureRequest
) -> None:
    count = 1_000 if request.config.getoption("--full") else 300
    chance = random.Random(13)
    is_over = threading.Event()
    troubles = 0

    def trouble() -> None:
        nonlocal troubles
        for turn in itertools.count():
            if is_over.wait(1.0):
                return
            number = chance.randrange(INSTANCES)
            if turn % 3 == 2:
                instances.pause(number, 2.5)
            else:
                instances.kill(number)
            troubles += 1

    def register(job: tuple[int, int]) -> tuple[int, int]:
        number, racer = job
        pick = random.Random(number * RACERS + racer)
        body = {"schema": schema(number)}

        def attempt() -> Answer:
            api: Api = pick.choice(instances.apis)
            return api.call("POST", f"/subjects/r{racer}-{number}/versions", body, timeout=8)

        answer = persistently(attempt)
        assert answer.status == 200, answer
        return number, int(answer.json["id"])

    troubling = threading.Thread(target=trouble)
    troubling.start()
    try:
        jobs = [(number, racer) for number in range(count // RACERS) for racer in range(RACERS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(register, jobs))
    finally:
        is_over.set()
        troubling.join()
    assert troubles
    ids: defaultdict[int, set[int]] = defaultdict(set)
    for number, id_ in answers:
        ids[number].add(id_)
    assert {number: found for number, found in ids.items() if len(found) > 1} == {}
    assert len({id_ for found in ids.values() for id_ in found}) == len(ids), "one id for two schemas"

    expected = {(f"r{racer}-{number}", 1): min(ids[number]) for number, racer in jobs}
    for state in (replayed(broker), replayed(broker, chance)):
        found = {
            (each.value.subject, each.value.version): each.value.id
            for subject in state.subjects(deleted=True)
            for each in state.versions(subject)
        }
        assert found == expected
    instances.kill(0)
    for api in instances.apis:
        for number, found_ids in ids.items():
            path = f"/schemas/ids/{min(found_ids)}"
            answer = persistently(lambda api=api, path=path: api.get(path))
            assert f'"f{number}"' in answer.json["schema"]


def test_a_deposed_leader_writes_nothing(instances: Instances, broker: InProcessBroker) -> None:
    """It stands still while another takes over, and wakes up with requests that it has already got."""
    assert persistently(lambda: instances.apis[0].register("before", '"int"')).json["id"] == 1
    urls = [each.url for each in instances.apis]
    leader = next(
        number
        for number, process in enumerate(instances.processes)
        if "this instance writes" in process.log.read_text()
    )
    others = [api for number, api in enumerate(instances.apis) if number != leader]
    process = instances.processes[leader].process
    process.send_signal(signal.SIGSTOP)
    answers: list[Answer | None] = []

    def ask_the_sleeper(number: int) -> None:
        with suppress(OSError, HTTPException):
            answers.append(instances.apis[leader].register(f"sleeper-{number}", schema(1_000 + number)))

    asking = [threading.Thread(target=ask_the_sleeper, args=(each,)) for each in range(8)]
    for thread in asking:
        thread.start()
    made = [persistently(lambda n=n: others[n % 2].register(f"awake-{n}", schema(n))) for n in range(20)]
    process.send_signal(signal.SIGCONT)
    for thread in asking:
        thread.join()
    ids = [each.json["id"] for each in made]
    assert ids == list(range(2, 22)), urls
    taken = [each.json["id"] for each in answers if each is not None and each.status == 200]
    assert not set(taken) & set(ids)
    assert len(set(taken)) == len(taken)
    state = replayed(broker)
    for number, id_ in enumerate(ids):
        (version,) = state.by_id(id_, ".")
        assert version.value.subject == f"awake-{number}"
