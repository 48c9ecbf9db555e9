"""Apache Kafka as a broker process: KRaft combined mode on one node, its own defaults and heap."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from bench import wire
from bench.brokers import Running, ended, free_port, listening
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
def kafka(
    release: Kafka,
    *,
    data: str | None = None,
    settings: tuple[str, ...] = (),
    listeners: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Running]:
    """A running broker; `start_s` does not include the formatting of a new folder. It has a plain listener,
    and `listeners`, which are given with their protocols.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(data or stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-bench-")))
        port, properties = free_port(), folder / "server.properties"
        addresses = {each: f"127.0.0.1:{free_port()}" for each in listeners}
        _write_properties(properties, folder, port, settings, addresses, listeners)
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
        yield Running("kafka", address, process, time.perf_counter() - began, addresses)


def _write_properties(
    path: Path,
    folder: Path,
    port: int,
    settings: tuple[str, ...],
    addresses: Mapping[str, str] = MappingProxyType({}),
    protocols: Mapping[str, str] = MappingProxyType({}),
) -> None:
    controller, plain = f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}"
    advertised = ",".join(f"{name}://{at}" for name, at in {"PLAINTEXT": plain, **addresses}.items())
    lines = [
        "process.roles=broker,controller",
        "node.id=1",
        f"controller.quorum.voters=1@{controller}",
        f"listeners=PLAINTEXT://{plain},CONTROLLER://{controller}",
        *listening(plain, {**addresses, "CONTROLLER": controller}, protocols),  # the last of equals counts
        f"advertised.listeners={advertised}",
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
