"""What makes the methods of a class for asyncio those of one for other threads, a line for each."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from ottla.client.sync.portal import Portal

Inner = TypeVar("Inner")
P = ParamSpec("P")
T = TypeVar("T")


class Face(Generic[Inner]):
    """Stands before an `inner` object, which lives in the portal's loop."""

    def __init__(self, inner: Inner, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal


def awaited(
    method: Callable[Concatenate[Inner, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Face[Inner], P], T]:
    """The same as a method that waits for the coroutine."""

    def call(self: Face[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._portal.call(method(self._inner, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


def inside(method: Callable[Concatenate[Inner, P], T]) -> Callable[Concatenate[Face[Inner], P], T]:
    """The same as a method that runs it in the loop's thread."""

    def call(self: Face[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._portal.run(method, self._inner, *args, **kwargs)

    functools.update_wrapper(call, method)
    return call


def iterated(
    method: Callable[Concatenate[Inner, P], AsyncIterator[T]],
) -> Callable[Concatenate[Face[Inner], P], Iterator[T]]:
    """The same as a method that gives what the asynchronous iterator does."""

    def call(self: Face[Inner], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        portal = self._portal
        items = method(self._inner, *args, **kwargs)
        try:
            while (item := portal.call(_next(items))) is not _END:
                yield item  # type: ignore[misc]
        finally:
            if isinstance(items, AsyncGenerator):
                portal.call(items.aclose())

    functools.update_wrapper(call, method)
    return call


_END: Final = object()


async def _next(items: AsyncIterator[T]) -> T | object:
    return await anext(items, _END)
