"""`python -m bench secured`: TLS with SASL on Ottla and on Apache Kafka, round after round; and a quiet
client of Ottla's beside a noisy one, which is held by its quota, or holds itself to the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench import brokers, load, machine, rdkafka, source
from bench.brokers import Running
from bench.kafka.broker import kafka
from bench.kafka.install import KafkaUnavailableError, install
from bench.results import percentile
from bench.workloads.model import Row, delete_topics, new_topic, throughput, verify
from ottla import client

_LISTENERS: Final = {"SECURED": "SASL_SSL"}
_LOGIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
_PARTITIONS: Final = 12
_RECORD_BYTES: Final = 1024
_QUIET_RATE: Final = 1000
_QUIET_BYTES: Final = 100
_NOISY_RATE: Final = 4000
"""Records of a KB a second that the noisy one may send, and would send more of"""
_WARM_SHARE: Final = 0.2
_LONGER: Final = 1.2
"""The noisy one goes on when the quiet one is done, so that its rate is of all that it sent."""


def settings_of(folder: Path) -> tuple[str, ...]:
    """Of a broker with a listener of TLS and SASL, for both systems."""
    key, certificate = folder / "key.pem", folder / "ca.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    store = folder / "server.pem"
    store.write_text(key.read_text() + certificate.read_text())
    return (
        "sasl.enabled.mechanisms=PLAIN",
        f'listener.name.secured.plain.sasl.jaas.config={_LOGIN} required user_ann="secret";',
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={store}",
    )


def properties_of(folder: Path) -> dict[str, Any]:
    """Of a client of librdkafka that comes to it."""
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ann",
        "sasl.password": "secret",
        "ssl.ca.location": str(folder / "ca.pem"),
    }


def moved(broker: Running, address: str, properties: Mapping[str, Any], megabytes: int, prefix: str) -> Row:
    """Produce so much, and read it: rates, and the broker's CPU for them."""
    records = megabytes * 1_000_000 // _RECORD_BYTES
    topic = new_topic(broker, _PARTITIONS)
    task = load.Task(address, topic, _PARTITIONS, records, _RECORD_BYTES, properties=dict(properties))
    machine.touch_free_memory(records * _RECORD_BYTES)
    row: Row = {}
    for what, job in (("produce", rdkafka.produce), ("consume", rdkafka.consume)):
        cpu_s = broker.cpu_s()
        done = load.together((job, task))
        found = throughput(broker, records * _RECORD_BYTES / 1e6, done.elapsed_s, cpu_s)
        row |= {f"{prefix} {what} {name}": found[name] for name in ("MB/s", "CPU s/GB")}
        if what == "produce":
            verify(broker, topic, _PARTITIONS, records)
    delete_topics(broker, [topic])
    return row


def secured(broker: Running, folder: Path, megabytes: int) -> Row:
    """By TLS and SASL, and beside it without."""
    address = broker.listeners["SECURED"]
    return {
        **moved(broker, address, properties_of(folder), megabytes, "SASL_SSL"),
        **moved(broker, broker.address, {}, megabytes, "PLAINTEXT"),
    }


def beside(broker: Running, seconds: int, noisy: tuple[load.Job, load.Task]) -> tuple[float, float]:
    """The p99 of a quiet client's latency beside a noisy one, in ms, and how many records of the latter were
    taken in a second.
    """
    records = _QUIET_RATE * seconds
    topic = new_topic(broker, 1)
    writing = load.Task(
        broker.address,
        topic,
        1,
        records,
        _QUIET_BYTES,
        properties={"linger.ms": 0, "acks": "all", "client.id": "quiet"},
        rate=_QUIET_RATE,
    )
    reading = load.Task(broker.address, topic, 1, records, _QUIET_BYTES)
    done = load.together((rdkafka.consume_stamped, reading), (rdkafka.produce_at_rate, writing), noisy)
    kept = sorted(done.latencies_ms[int(records * _WARM_SHARE) :])
    delete_topics(broker, [topic])
    return percentile(kept, 99), noisy[1].records / done.elapsed_s


def neighbours(broker: Running, seconds: int) -> Row:
    """Beside one that is held to a rate by its quota, and one that holds itself to it."""
    topic = new_topic(broker, 1)
    records = int(_NOISY_RATE * seconds * _LONGER)
    held, itself = (
        load.Task(
            broker.address,
            topic,
            1,
            records,
            _RECORD_BYTES,
            properties={"client.id": name, "linger.ms": 5},
            rate=_NOISY_RATE,
        )
        for name in ("held", "itself")
    )
    # As quotas count: with what a batch has around its records, about.
    bound = {"producer_byte_rate": float(_NOISY_RATE * _RECORD_BYTES)}
    with client.connect(broker.address) as admin:
        admin.admin.quotas.alter({frozenset({("client-id", "held")}): bound}).check()
    by_quota, taken = beside(broker, seconds, (rdkafka.produce, held))
    by_itself, _ = beside(broker, seconds, (rdkafka.produce_at_rate, itself))
    delete_topics(broker, [topic])
    return {
        "p99 ms beside one held by its quota": by_quota,
        "p99 ms beside one that holds itself": by_itself,
        "p99 of these, ratio": by_quota / by_itself,
        "rate of the one held, of its quota": taken / _NOISY_RATE,
    }


def main(given: list[str]) -> int:
    """Print the medians, and Ottla's in relation to Kafka's."""
    parser = argparse.ArgumentParser(prog="python -m bench secured", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=300, help="that a round produces, and reads")
    parser.add_argument("--seconds", type=int, default=15, help="for which a round measures latency")
    parser.add_argument(
        "--warm", type=int, default=100, metavar="MB", help="that is moved before, unmeasured"
    )
    parser.add_argument("--kafka", metavar="VERSION", help="release to fetch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write docs/secured-performance.md")
    options = parser.parse_args(given)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-secured-")))
        settings = settings_of(folder)
        found = stack.enter_context(source.snapshot())
        starts = {"ottla": functools.partial(brokers.ottla, source=found)}
        release = None
        try:
            release = install(options.kafka)
            starts["kafka"] = functools.partial(kafka, release)
        except KafkaUnavailableError as reason:
            print(f"Apache Kafka is left out: {reason}", file=sys.stderr)
        running = {
            name: stack.enter_context(start(settings=settings, listeners=_LISTENERS))
            for name, start in starts.items()
        }
        samples: dict[str, list[Row]] = {name: [] for name in running}
        for broker in running.values():
            secured(broker, folder, options.warm)
        for number in range(options.rounds):
            for name in list(running)[:: -1 if number % 2 else 1]:
                row = secured(running[name], folder, options.megabytes)
                if name == "ottla":
                    row |= neighbours(running[name], options.seconds)
                samples[name].append(row)
                print(f"round {number + 1}, {name}: {row}", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(samples, indent=2))
    lines = table(samples)
    print("\n".join(lines))
    if options.markdown:
        form = f"{options.rounds} rounds of {options.megabytes} MB and {options.seconds} s"
        about = machine.about(release, "python -m bench secured " + " ".join(given), form, None)
        options.markdown.write_text(page(lines, about))
    return 0


def table(samples: Mapping[str, list[Row]]) -> list[str]:
    """In Markdown: medians, and the medians and ranges of the ratios of a round."""
    names = list(samples)
    lines = [
        f"| metric | {' | '.join(names)} | ratio | spread |",
        f"| --- |{' ---: |' * (len(names) + 2)}",
    ]
    first = samples[names[0]]
    for metric in first[0]:
        found = {name: [row[metric] for row in rows] for name, rows in samples.items() if metric in rows[0]}
        cells = [f"{statistics.median(found[name]):.3g}" if name in found else "" for name in names]
        ratio, spread = "", ""
        if len(found) > 1:
            mine, theirs = (found[name] for name in names)
            ratios = sorted(left / right for left, right in zip(mine, theirs, strict=True) if right)
            if ratios:
                ratio = f"{statistics.median(ratios):.2f}"
                spread = f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
        lines.append(f"| {metric} | {' | '.join(cells)} | {ratio} | {spread} |")
    return lines


def page(lines: list[str], about: Mapping[str, str]) -> str:
    """The whole of docs/secured-performance.md."""
    return "\n".join(
        [
            "# Performance with TLS and SASL, and beside a noisy client",
            "",
            "Written by `python -m bench secured --markdown docs/secured-performance.md`. Records of 1 KB in",
            f"{_PARTITIONS} partitions by librdkafka, with PLAIN over TLS and beside it without; both",
            "brokers run at once, and one is under load. The quiet client writes 1,000 small records a",
            "second, the noisy one 4 MB, and what its quota lets through in its first seconds. Medians of",
            "rounds; ratios are of the same round.",
            "",
            *(f"- {name}: {value}" for name, value in about.items()),
            "",
            *lines,
            "",
        ]
    )
