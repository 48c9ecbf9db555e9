"""The broker: the only part that does network I/O and owns tasks."""
