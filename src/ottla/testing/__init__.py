"""A real broker inside a test: no container, no JVM, ready in a few hundredths of a second.

    from ottla.testing import run_broker, run_broker_async

    with run_broker() as broker:                        # in a thread of this process
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})

    async with run_broker_async() as broker:            # in the running event loop
        ...

    with run_cluster(3) as cluster:                     # three processes, and etcd beneath
        cluster.nodes[0].kill()

With pytest installed the fixture `ottla_broker` gives each test a fresh one (see `pytest_plugin`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ottla.testing.cluster import ClusterError, LocalCluster, run_cluster
    from ottla.testing.in_process import InProcessBroker, run_broker, run_broker_async

__all__ = [
    "ClusterError",
    "InProcessBroker",
    "LocalCluster",
    "run_broker",
    "run_broker_async",
    "run_cluster",
]


def __getattr__(name: str) -> Any:
    # pytest loads the plugin in every test run, and with it this package: the broker only when it is wanted.
    if name in __all__:
        from ottla.testing import cluster, in_process

        return getattr(cluster if hasattr(cluster, name) else in_process, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
