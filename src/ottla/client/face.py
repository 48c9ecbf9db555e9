"""What makes the methods of a class for asyncio those of one for callers that wait, a line for each."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar

Inner = TypeVar("Inner")
P = ParamSpec("P")
T = TypeVar("T")


class Run(Protocol):
    """Runs a coroutine on the client's event loop, and waits for what it gives."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...


class Face(Generic[Inner]):
    """Stands before an `inner` object; `run` runs coroutines on the loop that it lives in."""

    def __init__(self, inner: Inner, run: Run) -> None:
        self._inner = inner
        self._run = run


def awaited(
    method: Callable[Concatenate[Inner, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Face[Inner], P], T]:
    """The same as a method that waits for the coroutine."""

    @functools.wraps(method)
    def call(self: Face[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(method(self._inner, *args, **kwargs))

    return call


def inside(method: Callable[Concatenate[Inner, P], T]) -> Callable[Concatenate[Face[Inner], P], T]:
    """The same as a method that runs it in the loop."""

    async def work(inner: Inner, *args: P.args, **kwargs: P.kwargs) -> T:
        return method(inner, *args, **kwargs)

    @functools.wraps(method)
    def call(self: Face[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(work(self._inner, *args, **kwargs))

    return call


def iterated(
    method: Callable[Concatenate[Inner, P], AsyncIterator[T]],
) -> Callable[Concatenate[Face[Inner], P], Iterator[T]]:
    """The same as a method that gives what the asynchronous iterator does."""

    @functools.wraps(method)
    def call(self: Face[Inner], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        run = self._run
        items = method(self._inner, *args, **kwargs)
        try:
            while (item := run(_next(items))) is not _END:
                yield item  # type: ignore[misc]
        finally:
            if isinstance(items, AsyncGenerator):
                run(items.aclose())

    return call


_END: Final = object()


async def _next(items: AsyncIterator[T]) -> T | object:
    return await anext(items, _END)
