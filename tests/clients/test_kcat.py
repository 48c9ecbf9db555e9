"""kcat (an older librdkafka) from the shell."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("kcat") is None, reason="kcat is not installed (Debian: apt install kcat)"
)

Kcat = Callable[..., str]


@pytest.fixture
def kcat(broker) -> Kcat:
    def run(*arguments: str, stdin: str | bytes = "") -> str:
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        command = ["kcat", "-b", broker.bootstrap, *arguments]
        done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return run


def envelopes(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("idempotence", ["false", "true"], ids=["plain", "idempotent"])
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_lines_come_back_as_they_were_sent(kcat, make_topic, codec, idempotence):
    topic = make_topic()
    lines = "".join(f"line {n} {'x' * (n % 100)}\n" for n in range(5_000))
    settings = ["-X", f"enable.idempotence={idempotence}", "-z", codec]
    kcat("-P", "-t", topic, *settings, stdin=lines)
    assert kcat("-C", "-t", topic, "-e", "-q") == lines


def test_keys_headers_and_null_values(kcat, make_topic):
    topic = make_topic()
    kcat("-P", "-t", topic, "-K", ":", "-Z", "-H", "a=1", "-H", "b=two", stdin="key:value\ngone:\n")
    first, second = envelopes(kcat("-C", "-t", topic, "-e", "-q", "-J"))
    assert (first["key"], first["payload"], first["headers"]) == ("key", "value", ["a", "1", "b", "two"])
    assert (second["key"], second["payload"]) == ("gone", None)
    assert (first["offset"], second["offset"], first["tstype"]) == (0, 1, "create")


def test_a_file_of_900_kb_is_one_record(kcat, make_topic, tmp_path):
    topic = make_topic()
    file = tmp_path / "big"
    file.write_text("0123456789" * 90_000)
    kcat("-P", "-t", topic, str(file))
    assert kcat("-C", "-t", topic, "-e", "-q", "-f", "%S") == "900000"


def test_reading_from_an_offset_within_a_batch(kcat, make_topic):
    topic = make_topic()
    kcat("-P", "-t", topic, "-X", "linger.ms=500", stdin="".join(f"{n}\n" for n in range(100)))
    assert kcat("-C", "-t", topic, "-o", "57", "-c", "3", "-q").split() == ["57", "58", "59"]
    assert kcat("-C", "-t", topic, "-o", "-2", "-e", "-q").split() == ["98", "99"]


def test_offsets_by_timestamp(kcat, make_topic):
    topic = make_topic()
    for n in range(3):
        kcat("-P", "-t", topic, stdin=f"{n}\n")
    stamps = [int(envelope["ts"]) for envelope in envelopes(kcat("-C", "-t", topic, "-e", "-q", "-J"))]
    assert len(set(stamps)) == 3
    assert re.search(r"\[0\] offset 1$", kcat("-Q", "-t", f"{topic}:0:{stamps[1]}").strip())
    assert re.search(r"\[0\] offset -1$", kcat("-Q", "-t", f"{topic}:0:{stamps[2] + 1}").strip())
    assert kcat("-C", "-t", topic, "-o", f"s@{stamps[1]}", "-e", "-q").split() == ["1", "2"]


def test_metadata(kcat, broker, make_topic):
    topic = make_topic(partitions=3)
    metadata = json.loads(kcat("-L", "-J", "-t", topic))
    assert broker.bootstrap in [node["name"] for node in metadata["brokers"]]
    (described,) = metadata["topics"]
    assert sorted(partition["partition"] for partition in described["partitions"]) == [0, 1, 2]


def test_a_group_resumes_where_it_stopped(kcat, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    kcat("-P", "-t", topic, stdin="".join(f"{n}\n" for n in range(10)))
    read = ["-G", group, "-X", "auto.offset.reset=earliest", "-q", topic]
    assert kcat("-c", "4", *read).split() == ["0", "1", "2", "3"]
    assert kcat("-c", "6", *read).split() == ["4", "5", "6", "7", "8", "9"]
