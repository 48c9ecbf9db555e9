"""`python -m bench.clients.worker TASK`: one task in a process of its own, in JSON both ways."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict

from bench.clients.task import Task

MODULES = {
    "ottla": "ottla_client",
    "ottla, plain": "ottla_client",
    "confluent-kafka": "confluent_client",
    "aiokafka": "aiokafka_client",
    "kafka-python": "kafka_python_client",
}

if __name__ == "__main__":
    task = Task(**json.loads(sys.argv[1]))
    module = importlib.import_module(f"bench.clients.{MODULES[task.client]}")
    json.dump(asdict(module.JOBS[task.job](task)), sys.stdout)
