"""Apache Kafka as a broker process: KRaft combined mode on one node, its own defaults and heap."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench import wire
from bench.brokers import Running, ended, free_port
from bench.kafka.install import BROKER_HEAP, Kafka

# One node cannot hold three replicas of the internal topics; every other setting is Kafka's default.
_SINGLE_NODE = (
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
)


@contextlib.contextmanager
def kafka(release: Kafka, *, data: str | None = None, settings: tuple[str, ...] = ()) -> Iterator[Running]:
    """A running broker; `start_s` does not include the formatting of a new folder."""
    with contextlib.ExitStack() as stack:
        folder = Path(data or stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-bench-")))
        port, properties = free_port(), folder / "server.properties"
        _write_properties(properties, folder, port, settings)
        if not (folder / "log" / "meta.properties").exists():
            _format(release, properties)
        errors = stack.enter_context((folder / "stderr").open("wb"))
        began = time.perf_counter()
        process = subprocess.Popen(
            release.command("kafka.Kafka", str(properties), heap=BROKER_HEAP),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=folder,
        )
        stack.enter_context(ended(process))
        address = f"127.0.0.1:{port}"
        try:
            wire.wait_ready(address, process, timeout_s=600)
        except RuntimeError as error:
            said = (folder / "stderr").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"Apache Kafka did not start: {said}") from error
        yield Running("kafka", address, process, time.perf_counter() - began)


def _write_properties(path: Path, folder: Path, port: int, settings: tuple[str, ...]) -> None:
    controller_port = free_port()
    lines = [
        "process.roles=broker,controller",
        "node.id=1",
        f"controller.quorum.voters=1@127.0.0.1:{controller_port}",
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names=CONTROLLER",
        f"log.dirs={folder / 'log'}",
        *_SINGLE_NODE,
        *settings,
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def _format(release: Kafka, properties: Path) -> None:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    arguments = ("format", "--cluster-id", cluster_id, "--config", str(properties))
    done = subprocess.run(
        release.command("kafka.tools.StorageTool", *arguments),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"StorageTool: {done.stdout}{done.stderr}")
