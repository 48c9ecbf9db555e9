"""A task: the nodes of a sub-topology at work on one partition of each of its topics. Pure: time and I/O come
in."""
