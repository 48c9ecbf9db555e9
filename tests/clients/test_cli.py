"""The `ottla` command against a broker, as people and scripts call it."""

import base64
import json
import signal
import subprocess
import time
from typing import Any

import kafka
import pytest
from confluent_kafka.admin import AdminClient

from ottla.cli.main import run

from .conftest import command


def command_reads(broker: Any, topic: str) -> bytes:
    called = command(broker.bootstrap, "consume", topic, "--exit-at-end")
    return subprocess.run(**called, capture_output=True, timeout=60, check=True).stdout


def columns(done: subprocess.CompletedProcess[bytes]) -> list[list[str]]:
    return [line.split() for line in done.stdout.decode().splitlines()]


# Topics


def test_topics_from_creation_to_deletion(cli, answer, new_name, eventually):
    name = new_name("topic")
    cli("topic", "create", name, "--partitions", "2", "--config", "retention.ms=12345")
    assert cli("topic", "create", name, code=1).stderr.decode().startswith(f"ottla: {name}: ")
    cli("topic", "create", name, "--if-not-exists")
    assert [name, "2"] in [row[:2] for row in columns(cli("topic", "list"))]
    (described,) = answer("topic", "describe", name)
    assert described["configs"] == {"retention.ms": "12345"}
    assert [(p["partition"], p["earliest"], p["latest"]) for p in described["partitions"]] == [
        (0, 0, 0),
        (1, 0, 0),
    ]
    changes = ["--partitions", "3", "--config", "segment.ms=77777", "--delete-config", "retention.ms"]
    cli("topic", "alter", name, *changes)
    eventually(lambda: len(answer("topic", "describe", name)[0]["partitions"]) == 3)
    assert answer("topic", "describe", name)[0]["configs"] == {"segment.ms": "77777"}
    cli("topic", "delete", name)
    eventually(lambda: name not in [listed["topic"] for listed in answer("topic", "list")])
    assert cli("topic", "delete", name, code=1).stderr.decode().startswith(f"ottla: {name}: ")
    cli("topic", "delete", name, "--if-exists")
    cli("topic", "describe", name, code=1)


def test_topics_that_are_deleted_while_they_are_listed(cli, make_topic, monkeypatch, capsys, broker):
    """The client names one more than there are."""
    topic = make_topic()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    listed = admin.list_topics(timeout=10)
    listed.topics["ottla-gone"] = listed.topics[topic]
    monkeypatch.setattr(AdminClient, "list_topics", lambda *_, **__: listed)
    assert run(["topic", "list", "--json", "-b", broker.bootstrap]) == 0
    names = [row["topic"] for row in json.loads(capsys.readouterr().out)]
    assert topic in names
    assert "ottla-gone" not in names


def test_a_pattern_of_topics_in_a_group(cli, make_topic, new_name):
    topic = make_topic()
    cli("produce", topic, stdin=b"a\n")
    assert cli("consume", f"^{topic[:-1]}.$", "-g", new_name("group"), "-e").stdout == b"a\n"
    assert b"there is no such topic" in cli("consume", f"^{topic[:-1]}.$", "-e", code=1).stderr


def test_validating_creates_nothing(cli, answer, new_name):
    name = new_name("topic")
    cli("topic", "create", name, "--validate-only")
    assert name not in [listed["topic"] for listed in answer("topic", "list", "--internal")]
    refused = cli("topic", "create", name, "--config", "no.such=1", code=1)
    assert b"no.such" in refused.stderr


# Records


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_lines_come_back_byte_for_byte(cli, make_topic, codec):
    topic = make_topic()
    lines = (
        b"".join(b"line %d \xff\xc3\xa9 %s\n" % (n, b"x" * (n % 50)) for n in range(20_000)) + b"\n\nlast\n"
    )
    cli("produce", topic, "--compression", codec, stdin=lines)
    assert cli("consume", topic, "--exit-at-end").stdout == lines


def test_a_file_in_partitions(cli, make_topic, tmp_path):
    topic = make_topic(partitions=3)
    file = tmp_path / "lines"
    file.write_bytes(b"a\nb\nc")
    cli("produce", topic, str(file), "--partition", "2", "--acks", "1")
    assert cli("consume", topic, "-e", "--partition", "2").stdout == b"a\nb\nc\n"
    assert cli("consume", topic, "-e", "--partition", "0", "--partition", "1").stdout == b""
    assert cli("consume", topic, "-e", "--format", "raw").stdout == b"abc"


def test_keys_headers_and_what_is_shown_of_them(cli, make_topic):
    topic = make_topic()
    cli("produce", topic, "--key-separator", r"\t", "--header", "h=1", "--header", "n", stdin=b"k\tv\n\t\n")
    shown = cli("consume", topic, "-e", "--keys", "--headers", "--offsets", "--separator", "|").stdout
    assert shown == f"{topic}-0:0|h=1,n=null|k|v\n{topic}-0:1|h=1,n=null||\n".encode()


@pytest.mark.parametrize("options", [[], ["--base64"]], ids=["text", "base64"])
def test_json_lines_go_around(cli, make_topic, options):
    old = {"retention.ms": "-1"}  # one record is of 1970
    first, second = make_topic(config=old), make_topic(config=old)

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode() if options else data.decode(errors="surrogateescape")

    records = [
        {
            "key": None,
            "value": encoded(b"\xff\x00"),
            "headers": [["a", encoded(b"1")], ["a", None]],
            "timestamp": 5,
        },
        {"key": encoded(b"k"), "value": None, "headers": [], "timestamp": 1_600_000_000_000},
    ]
    stdin = "".join(json.dumps(record) + "\n" for record in records).encode()
    cli("produce", first, "--format", "json", *options, stdin=stdin)
    printed = cli("consume", first, "-e", "--format", "json", *options).stdout
    cli("produce", second, "--format", "json", *options, stdin=printed)
    again = cli("consume", second, "-e", "--format", "json", *options).stdout
    for offset, (line, record) in enumerate(zip(again.splitlines(), records, strict=True)):
        assert json.loads(line) == {"topic": second, "partition": 0, "offset": offset, **record}


def test_a_wrong_line_is_named_and_those_before_it_are_sent(cli, make_topic):
    topic = make_topic()
    failed = cli("produce", topic, "--format", "json", stdin=b'{"value": "v"}\n{"value"\n', code=1)
    assert failed.stderr.startswith(b"ottla: line 2: no JSON")
    assert cli("consume", topic, "-e").stdout == b"v\n"


class RawName(str):
    """A header's name whose bytes are no UTF-8, for a client that encodes names itself."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return bytes(self, "latin-1")


def test_names_of_headers_that_are_not_utf8(broker, cli, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    producer = kafka.KafkaProducer(bootstrap_servers=broker.bootstrap)
    for headers in [[("\xff\xfe", b"1"), ("a", b"2"), ("\xff", b"")], [("b", b"3")]]:
        producer.send(topic, b"v", headers=[(RawName(name), value) for name, value in headers])
    producer.close()
    for options in (["-e"], ["--group", group, "-e"]):
        lines = cli("consume", topic, *options, "--format", "json").stdout.splitlines()
        assert [json.loads(line)["headers"] for line in lines] == [
            [["\udcff\udcfe", "1"], ["a", "2"], ["\udcff", ""]],
            [["b", "3"]],
        ]
    assert cli("consume", topic, "-e", "--headers").stdout == b"\xff\xfe=1,a=2,\xff=\tv\nb=3\tv\n"


def test_a_separator_of_one_byte(cli, make_topic):
    topic = make_topic()
    cli("produce", topic, "--key-separator", r"\xff", stdin=b"k\xc3\xbf\xffv\n")
    assert cli("consume", topic, "-e", "--keys", "--separator", r"\xff").stdout == b"k\xc3\xbf\xffv\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"partition": 7}', b" has no partition 7, it has 1"),
        (
            b'{"value": "%s"}' % (b"x" * 1_048_500),
            b"a record of 1,048,500 bytes is too large (-X max.request.size=N allows more)",
        ),
        (b'{"headers": {"\\ud800": "1"}}', b"has a lone surrogate that stands for no byte"),
        (b"[" * 100_000, b"nested too deeply"),
        (b"x" * 7_000_000, b"has more than 6,356,224 bytes"),
    ],
    ids=["partition", "record", "surrogate", "brackets", "line"],
)
def test_a_line_that_cannot_be_sent_is_named(cli, make_topic, line, complaint):
    topic = make_topic()
    failed = cli("produce", topic, "--format", "json", stdin=b'{"value": 1.00}\n\n' + line + b"\n", code=1)
    assert failed.stderr.startswith(b"ottla: line 3")
    assert complaint in failed.stderr
    assert failed.stderr.count(b"\n") == 1
    assert cli("consume", topic, "-e").stdout == b"1.00\n"


def test_records_that_are_refused_are_counted(cli, make_topic):
    topic = make_topic(config={"max.message.bytes": "1000"})
    lines = b"x" * 2000 + b"\n"
    failed = cli("produce", topic, stdin=lines * 3, code=1)
    assert failed.stderr.startswith(b"ottla: 3 of 3 records were not delivered: ")


def test_a_broker_that_goes_is_told_and_so_is_what_it_did_not_take(make_broker, make_topic, eventually):
    broker = make_broker()
    topic = make_topic(at=broker)
    called = command(broker.bootstrap, "produce", topic)
    pipe = subprocess.PIPE
    with subprocess.Popen(**called, stdin=pipe, stderr=pipe) as producing:
        assert producing.stdin is not None
        assert producing.stderr is not None
        producing.stdin.write(b"one\n")
        producing.stdin.flush()
        eventually(lambda: command_reads(broker, topic) == b"one\n")
        broker.kill()
        producing.stdin.write(b"two\n")
        producing.stdin.flush()
        assert b"the cluster does not answer" in producing.stderr.readline()
        producing.send_signal(signal.SIGINT)  # it waits now until all is delivered
        with pytest.raises(subprocess.TimeoutExpired):
            producing.wait(1)
        producing.send_signal(signal.SIGINT)
        assert producing.wait(20) == 130
        assert b"ottla: 1 of 2 records were not delivered: " in producing.stderr.read()


def test_where_to_begin_and_to_stop(cli, make_topic):
    topic = make_topic(config={"retention.ms": "-1"})  # its records are of 2020
    records = [{"value": str(n), "timestamp": 1_600_000_000_000 + n} for n in range(100)]
    cli("produce", topic, "--format", "json", stdin="\n".join(map(json.dumps, records)).encode())

    def read(*options: str) -> list[int]:
        return [int(line) for line in cli("consume", topic, *options).stdout.split()]

    assert read("--max-messages", "3") == [0, 1, 2]
    assert read("--from", "57", "-n", "2") == [57, 58]
    assert read("--from", "-2", "-e") == [98, 99]
    assert read("--from", "@1600000000042", "-n", "1") == [42]
    assert read("--from", "2020-09-13T12:26:40.050Z", "-n", "1") == [50]
    assert read("--from", "end", "-e") == []
    assert read("--from", "98", "--timeout", "2") == [98, 99]


def test_progress_goes_to_stderr(cli, make_topic):
    topic = make_topic()
    assert b"3 records" in cli("produce", topic, "--progress", stdin=b"a\nb\nc\n").stderr
    done = cli("consume", topic, "-e", "--progress")
    assert (done.stdout, b"3 records" in done.stderr) == (b"a\nb\nc\n", True)


def test_what_is_unknown_is_told_in_one_line(cli, make_topic):
    topic = make_topic()
    for arguments in (
        ["consume", "ottla-unknown"],
        ["consume", topic, "--partition", "7"],
        ["consume", "ottla-unknown", "--group", "ottla-unknown", "--timeout", "10"],
        ["produce", topic, "--partition", "7"],
        ["topic", "describe", "ottla-unknown"],
        ["group", "describe", "ottla-unknown"],
        ["group", "delete", "ottla-unknown"],
        ["config", "describe", "topic", "ottla-unknown"],
        ["topic", "list", "-b", "127.0.0.1:1"],
    ):
        told = cli(*arguments, code=1).stderr.decode()
        assert told.startswith("ottla: ")
        assert told.count("\n") == 1


# Groups


def test_a_group_from_its_first_record_to_its_end(cli, answer, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    cli("produce", topic, stdin=b"".join(b"%d\n" % n for n in range(10)))
    assert cli("consume", topic, "--group", group, "-n", "4").stdout == b"0\n1\n2\n3\n"
    assert {"group": group, "state": "empty", "protocol": "classic"} in answer("group", "list")
    (described,) = answer("group", "describe", group)
    (partition,) = described["partitions"]
    assert (partition["committed"], partition["latest"], partition["lag"]) == (4, 10, 6)
    assert cli("consume", topic, "--group", group, "--exit-at-end").stdout == b"4\n5\n6\n7\n8\n9\n"

    def reset(*options: str) -> int:
        (moved,) = answer("group", "reset-offsets", group, *options)
        return int(moved["new_offset"])

    assert reset("--to-offset", "2") == 2
    assert reset("--shift-by", "-3", "--dry-run") == 7
    assert reset("--to-latest") == 10
    assert reset("--to-datetime", "@0") == 0
    assert cli("consume", topic, "-g", group, "-e").stdout == b""  # nothing was moved yet
    assert reset("--to-earliest", "--topic", f"{topic}:0", "--execute") == 0
    assert len(cli("consume", topic, "-g", group, "-e").stdout.split()) == 10
    cli("group", "delete", group)
    assert group not in [listed["group"] for listed in answer("group", "list")]


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_living_group(broker, cli, answer, make_topic, new_name, ending, code):
    """It shows its member, cannot be moved or deleted, and commits what it printed when it is ended."""
    topic, group = make_topic(), new_name("group")
    cli("produce", topic, stdin=b"one\n")
    called = command(broker.bootstrap, "consume", topic, "--group", group)
    with subprocess.Popen(**called, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as member:
        assert member.stdout is not None
        assert member.stdout.readline() == b"one\n"
        (described,) = answer("group", "describe", group)
        assert described["state"] == "stable"
        assert [found["partitions"] for found in described["members"]] == [[f"{topic}-0"]]
        refused = cli("group", "reset-offsets", group, "--topic", topic, "--to-latest", "--execute", code=1)
        assert b"has members" in refused.stderr
        cli("group", "delete", group, code=1)
        member.send_signal(ending)
        assert member.wait(10) == code
        assert member.stderr is not None
        assert member.stderr.read().strip() == b""
    (described,) = answer("group", "describe", group)
    assert (described["state"], described["partitions"][0]["committed"]) == ("empty", 1)


def test_two_members_share_a_topic(broker, cli, make_topic, new_name, tmp_path):
    topic, group = make_topic(partitions=4), new_name("group")
    timeout_s = str(2 + broker.session_timeout_ms // 1000)  # as long as groups take to form
    lines = [b"line %d" % n for n in range(40_000)]
    called = command(broker.bootstrap, "consume", topic, "--group", group, "--timeout", timeout_s)
    outputs = [tmp_path / "one", tmp_path / "two"]
    members = []
    for output in outputs:
        with output.open("wb") as out:
            members.append(subprocess.Popen(**called, stdout=out))
    time.sleep(1)
    cli("produce", topic, stdin=b"\n".join(lines))
    assert [member.wait(60) for member in members] == [0, 0]
    assert sorted(b"".join(output.read_bytes() for output in outputs).split(b"\n")) == sorted([b"", *lines])


# Configs and the cluster


def test_configs(cli, answer, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    cli("config", "set", "topic", topic, "retention.ms=777", "cleanup.policy=compact")
    changed = answer("config", "describe", "topic", topic)
    assert {(entry["name"], entry["value"]) for entry in changed if entry["source"] == "topic"} == {
        ("cleanup.policy", "compact"),
        ("retention.ms", "777"),
    }
    cli("config", "delete", "topic", topic, "retention.ms", "cleanup.policy")
    everything = {entry["name"]: entry for entry in answer("config", "describe", "topic", topic, "--all")}
    assert everything["retention.ms"]["source"] != "topic"
    assert b"retention.ms" in cli("config", "set", "topic", topic, "retention.ms=soon", code=1).stderr
    cli("config", "set", "topic", topic, "retention.ms=1", "--validate-only")
    assert "topic" not in {entry["source"] for entry in answer("config", "describe", "topic", topic)}
    cli("config", "set", "group", group, "consumer.session.timeout.ms=46000")
    assert ["consumer.session.timeout.ms", "46000", "group", "no"] in columns(
        cli("config", "describe", "group", group)
    )


def test_configs_of_all_brokers(cli, answer):
    """What is set for all holds for each, until one has its own."""

    def threads(broker: str) -> tuple[str, str] | None:
        entries = answer("config", "describe", "broker", broker)
        found = [
            (entry["value"], entry["source"]) for entry in entries if entry["name"] == "background.threads"
        ]
        return found[0] if found else None

    one = str(answer("cluster", "describe")["brokers"][0]["broker"])
    cli("config", "set", "broker", "default", "background.threads=9")
    try:
        assert (threads("default"), threads(one)) == (("9", "all brokers"), ("9", "all brokers"))
        cli("config", "set", "broker", "default", "background.threads=8", "--validate-only")
        cli("config", "set", "broker", one, "background.threads=7")
        assert (threads("default"), threads(one)) == (("9", "all brokers"), ("7", "broker"))
        refused = cli("config", "set", "broker", "default", "background.threads=x", code=1).stderr
        assert refused.startswith(b"ottla: all brokers: ")
        assert b"background.threads" in refused
    finally:
        cli("config", "delete", "broker", one, "background.threads")
        cli("config", "delete", "broker", "default", "background.threads")
    assert threads("default") is None
    cli("config", "describe", "broker", "all", code=2)
    assert cli("config", "describe", "broker", "77", code=1).stderr.startswith(
        b"ottla: there is no broker 77"
    )


def test_the_cluster(broker, cli, answer):
    described = answer("cluster", "describe")
    (node,) = [node for node in described["brokers"] if f"{node['host']}:{node['port']}" == broker.bootstrap]
    assert [each["broker"] for each in described["brokers"] if each["controller"]] == [
        described["controller"]
    ]
    assert answer("config", "describe", "broker", str(node["broker"]), "--all")
    assert columns(cli("cluster", "describe"))[0] == ["Cluster", described["cluster_id"]]


def test_features(cli, answer):
    def finalized() -> dict[str, int | None]:
        return {found["feature"]: found["finalized"] for found in answer("feature", "describe")}

    before = finalized()
    assert before["transaction.version"] == 2
    assert ["transaction.version", "0", "2", "2"] in [row[:4] for row in columns(cli("feature", "describe"))]
    cli("feature", "downgrade", "transaction.version=1", "--dry-run")
    assert finalized() == before
    refused = cli("feature", "upgrade", "transaction.version=1", code=1).stderr
    assert refused.startswith(b"ottla: ")
    assert refused.count(b"\n") == 1
    assert b"no.such" in cli("feature", "upgrade", "no.such=1", code=1).stderr
    try:
        told = cli("feature", "downgrade", "transaction.version=1").stdout
        assert told == b"transaction.version is at level 1\n"
        assert finalized()["transaction.version"] == 1
    finally:
        cli("feature", "upgrade", "transaction.version=2")
    assert finalized() == before
