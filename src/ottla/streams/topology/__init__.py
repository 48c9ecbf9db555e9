"""What an application does, as nodes: sources, processors, sinks and stores, and what follows from them."""

from ottla.streams.topology.topology import Topology

__all__ = ["Topology"]
