"""The same calls for callers that wait: a line for each, with its types."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

__all__ = ["Blocking", "Run", "blocking"]

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


class Run(Protocol):
    """Runs a coroutine on the client's event loop, and waits for what it gives."""

    def __call__(self, coroutine: Coroutine[Any, Any, R], /) -> R: ...


class Blocking(Generic[A]):
    """The blocking face of an object whose methods are coroutines."""

    def __init__(self, target: A, run: Run) -> None:
        self._target = target
        self._run = run


def blocking(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Blocking[A], P], R]:
    """`method` as one of a `Blocking`."""

    @wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(method(self._target, *args, **kwargs))

    return call
