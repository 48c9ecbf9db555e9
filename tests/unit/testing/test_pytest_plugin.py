"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INI = """
[pytest]
addopts = --strict-markers
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


class Run:
    """What became of a run of pytest."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        (folder / "pytest.ini").write_text(INI)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        self.returncode, self.output = done.returncode, done.stdout + done.stderr

    def left(self) -> list[str]:
        """Data folders that nobody removed."""
        return [str(path) for path in self.temporary.glob("ottla-*")]


CLIENT = """
import pathlib

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient


def admin(broker):
    return AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})


def write(broker, topic):
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0, "log_level": 0})
    producer.produce(topic, b"value")
    assert producer.flush(30) == 0


def topics(broker):
    return set(admin(broker).list_topics(timeout=30).topics)
"""

SUITE = """
@pytest.mark.parametrize("number", range(4))
def test_each_test_has_a_fresh_broker(ottla_broker, number):
    assert topics(ottla_broker) == set()
    write(ottla_broker, f"t{number}")


seen = set()


@pytest.mark.parametrize("number", range(4))
def test_the_session_has_one_broker(ottla_session_broker, worker, number):
    write(ottla_session_broker, f"{worker}-{number}")
    names = topics(ottla_session_broker)
    seen.add(f"{worker}-{number}")
    seen.add(ottla_session_broker.port)
    assert names == {each for each in seen if isinstance(each, str)}
    assert len([each for each in seen if isinstance(each, int)]) == 1


@pytest.fixture
def worker(request):
    return getattr(request.config, "workerinput", {"workerid": "master"})["workerid"]


@pytest.mark.ottla({"num.partitions": 3})
class TestSettings:
    def test_of_the_class(self, ottla_broker):
        write(ottla_broker, "t")
        assert len(admin(ottla_broker).list_topics("t", 30).topics["t"].partitions) == 3

    @pytest.mark.ottla({"num.partitions": 2})
    def test_the_nearest_wins(self, ottla_broker):
        write(ottla_broker, "t")
        assert len(admin(ottla_broker).list_topics("t", 30).topics["t"].partitions) == 2

    @pytest.mark.ottla({"auto.create.topics.enable": False})
    def test_they_add_up(self, ottla_broker):
        assert admin(ottla_broker).list_topics("unmade", 30).topics["unmade"].error is not None


def test_both_at_once(ottla_broker, ottla_session_broker):
    assert ottla_broker.port != ottla_session_broker.port
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["in one process", "in two"])
def test_fixtures_and_marker(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "test_suite.py").write_text(CLIENT + SUITE)
    run = Run(tmp_path, *arguments)
    assert run.returncode == 0, run.output
    assert "12 passed" in run.output
    assert run.left() == []


def test_async_tests_use_the_same_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(
        """
from aiokafka import AIOKafkaProducer


async def test_aiokafka(ottla_broker):
    async with AIOKafkaProducer(bootstrap_servers=ottla_broker.bootstrap_servers) as producer:
        await producer.send_and_wait("t", b"value")
"""
    )
    run = Run(tmp_path)
    assert run.returncode == 0, run.output
    assert run.left() == []


def test_a_failing_test_still_ends_its_broker(tmp_path: Path) -> None:
    suite = """
import threading

brokers = []


def test_fails(ottla_broker):
    brokers.append(ottla_broker)
    assert False, "on purpose"


def test_afterwards():
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ottla")] == []
    assert not pathlib.Path(brokers[0].data_dir).exists()
"""
    (tmp_path / "test_suite.py").write_text(CLIENT + suite)
    run = Run(tmp_path)
    assert "1 failed, 1 passed" in run.output
    assert run.left() == []


def test_wrong_settings_are_told(tmp_path: Path) -> None:
    suite = """
import pytest


@pytest.mark.ottla({"num.partitons": 3})
def test_a_name_that_no_setting_has(ottla_broker):
    print("it ran")


@pytest.mark.ottla(num_partitions=3)
def test_keywords(ottla_broker):
    print("it ran")


@pytest.mark.ottla
def test_no_settings_at_all(ottla_broker):
    print("it ran")
"""
    (tmp_path / "test_suite.py").write_text(suite)
    run = Run(tmp_path, "-s")
    assert "3 errors" in run.output
    assert "settings: unknown setting num.partitons; did you mean num.partitions?" in run.output
    assert run.output.count("expected settings, as in @pytest.mark.ottla({'num.partitions': 3})") >= 2
    assert "it ran" not in run.output
    assert run.left() == []


def test_unused_it_imports_nothing_of_the_broker(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(
        """
import sys


def test_modules(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("ottla")
    ours = {name for name in sys.modules if name.split(".")[0] == "ottla"}
    assert ours == {"ottla", "ottla.testing", "ottla.testing.pytest_plugin"}
    assert {"kio", "uvloop", "cramjam", "confluent_kafka"}.isdisjoint(sys.modules)
"""
    )
    run = Run(tmp_path)
    assert run.returncode == 0, run.output
