"""`ottla produce` and `consume` in all of their formats: what goes in comes out, byte for byte."""

import base64
import io
import json
import random
import shlex
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import command


def mixed_encodings(count: int) -> bytes:
    """A log that programs wrote in their own ways."""
    chance = random.Random(7)
    lines = []
    for n in range(count):
        text = f"2026-11-27 {n} größe naïve 日本 Ж {chance.random()}"
        line = text.encode(chance.choice(["utf-8", "latin-1", "utf-16-le", "shift_jis", "cp1251"]), "replace")
        lines.append(line.replace(b"\n", b"?") + chance.choice([b"\n", b"\r\n", b"\0\n", b"\xff\n"]))
    return b"".join(lines)


@pytest.mark.parametrize("kind", ["text", "json", "csv", "parquet", "arrow", "arrow-stream"])
def test_a_topic_goes_through_every_format_byte_for_byte(cli, make_topic, kind):
    first, second = make_topic(partitions=2), make_topic(partitions=2)
    log = mixed_encodings(5_000)
    cli("produce", first, "--partition", "1", stdin=log)
    escape = ["--escape"] if kind == "text" else []
    written = cli("consume", first, "-e", "--format", kind, *escape).stdout
    cli("produce", second, "--format", kind, *escape, stdin=written)
    assert cli("consume", second, "-e", *(["-p", "1"] if kind != "text" else [])).stdout == log
    if kind not in ("text", "parquet"):
        again = cli("consume", second, "-e", "--format", kind).stdout
        assert again.replace(second.encode(), first.encode()) == written


def test_any_bytes_through_pipes_and_files(cli, make_topic, tmp_path):
    topic, log = make_topic(), mixed_encodings(2_000)
    (tmp_path / "log").write_bytes(log)
    cli("produce", topic, str(tmp_path / "log"), "--format", "raw")
    assert cli("consume", topic, "-e", "--format", "raw").stdout == log
    rows = json.loads(cli("consume", topic, "-e", "--format", "json", "--base64").stdout)
    assert base64.b64decode(rows["value"]) == log


def test_tables_of_others_become_json(cli, make_topic, tmp_path):
    topic = make_topic()
    pq.write_table(pa.table({"user": ["a", "b"], "amount": [1, None]}), tmp_path / "people.parquet")
    cli("produce", topic, str(tmp_path / "people.parquet"), "--format", "parquet", "--key-column", "user")
    cli("produce", topic, "--format", "csv", "--key-column", "user", stdin=b"user,amount\nc,007\n")
    assert cli("consume", topic, "-e", "--keys").stdout == (
        b'a\t{"amount":1}\nb\t{"amount":null}\nc\t{"amount":"007"}\n'
    )


def test_what_is_wanted_of_a_topic(cli, make_topic):
    topic = make_topic()
    lines = b"".join(b"%s\tvalue %d\n" % (b"ab"[n % 2 :][:1], n) for n in range(100))
    cli("produce", topic, "--key-separator", r"\t", "--header", "h=1", stdin=lines)
    cli("produce", topic, stdin=b"no key 7\n")

    def read(*options: str) -> list[bytes]:
        return cli("consume", topic, "-e", *options).stdout.split(b"\n")[:-1]

    assert read("--key", "b", "--contains", "9") == [
        b"value %d" % n for n in (9, 19, 29, 39, 49, 59, 69, 79, 89)
    ] + [b"value %d" % n for n in range(91, 100, 2)]
    assert read("--matches", "7$", "-n", "2") == [b"value 7", b"value 17"]
    assert read("--with-header", "h", "--matches", "^no") == []
    assert read("--contains", "no") == [b"no key 7"]
    assert read("--from", "98", "--to", "100") == [b"value 98", b"value 99"]
    assert read("--from", "-1h", "--to", "2")[:2] == [b"value 0", b"value 1"]
    assert read("--to", "-1h") == []


def test_a_group_commits_no_more_than_was_printed(cli, answer, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    cli("produce", topic, stdin=b"".join(b"%d\n" % n for n in range(20)))
    assert cli("consume", topic, "-g", group, "--contains", "1", "-n", "3").stdout == b"1\n10\n11\n"
    (described,) = answer("group", "describe", group)
    assert described["partitions"][0]["committed"] == 12
    table = cli("consume", topic, "-g", group, "-e", "--format", "parquet").stdout
    assert pq.read_table(io.BytesIO(table)).num_rows == 8
    (described,) = answer("group", "describe", group)
    assert described["partitions"][0]["committed"] == 20


def test_a_reader_that_has_seen_enough(broker, make_topic, cli):
    topic = make_topic()
    cli("produce", topic, stdin=b"line\n" * 100_000)
    called = shlex.join(command(broker.bootstrap, "consume", topic)["args"])
    done = subprocess.run(
        ["bash", "-c", f"{called} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        env=command(broker.bootstrap)["env"],
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"line\n", b"")


def test_properties_in_a_file(broker, cli, make_topic, tmp_path):
    topic = make_topic()
    file = tmp_path / "client.properties"
    file.write_text("security.protocol=PLAINTEXT\nacks=1\nenable.idempotence=false\nno.such.setting=1\n")
    cli("produce", topic, "--command-config", str(file), stdin=b"a\n")
    assert cli("consume", topic, "-e", "--command-config", str(file)).stdout == b"a\n"
    assert cli("topic", "describe", topic, "--command-config", str(file)).stdout
    file.write_text("security.protocol=SASL_PLAINTEXT\n")
    assert b"needs sasl.mechanism" in cli("topic", "list", "--command-config", str(file), code=2).stderr
