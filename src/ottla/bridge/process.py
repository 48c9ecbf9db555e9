"""The bridge as a process of its own."""

from __future__ import annotations

from ottla.bridge.assembly import Bridge
from ottla.bridge.settings import Configuration
from ottla.http.process import run_process as run_server


def run_process(configured: Configuration, host: str, port: int, *, verbose: bool = False) -> int:
    """Run a bridge until SIGINT or SIGTERM; returns the process's exit code."""
    return run_server("ottla bridge", lambda: Bridge(configured, host, port), verbose=verbose)
