"""Rates over sampled windows, and token buckets, as Kafka measures them: what is over a bound has to wait.

Times are milliseconds of a clock that never goes back, waits milliseconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Window(NamedTuple):
    """What a rate is measured over: so many samples, each of so many milliseconds."""

    samples: int
    sample_ms: int

    @property
    def seconds(self) -> float:
        return self.samples * self.sample_ms / 1000


class _Sample:
    __slots__ = ("began_ms", "last_ms", "value")

    def __init__(self, now_ms: int) -> None:
        self.began_ms = self.last_ms = now_ms
        self.value = 0.0


class SampledRate:
    """What came in the window, for each second of it.

    The window ends now and begins with the oldest sample, but counts all of its samples but one at least, so
    that what begins is not taken for a flood.
    """

    __slots__ = ("_samples", "_total")

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._total = 0.0

    def record(self, value: float, now_ms: int, window: Window) -> None:
        samples = self._samples
        if not samples or now_ms - samples[-1].began_ms >= window.sample_ms:
            samples.append(_Sample(now_ms))
            if len(samples) > window.samples + 1:
                self._total -= samples.popleft().value
        sample = samples[-1]
        sample.value += value
        sample.last_ms = now_ms
        self._total += value

    def wait_ms(self, bound: float, now_ms: int, window: Window) -> int:
        """How long nothing may come until the rate is within the bound; 0 where it is."""
        self._purge(now_ms, window)
        size_ms = self._size_ms(now_ms, window)
        rate = self._total * 1000 / size_ms
        return 0 if rate <= bound else math.floor((rate - bound) / bound * size_ms + 0.5)

    def is_over(self, now_ms: int, window: Window) -> bool:
        """Nothing of it is left in the window."""
        self._purge(now_ms, window)
        return not self._samples

    def _purge(self, now_ms: int, window: Window) -> None:
        samples, kept_ms = self._samples, window.samples * window.sample_ms
        while samples and now_ms - samples[0].last_ms >= kept_ms:
            self._total -= samples.popleft().value
        if not samples:
            self._total = 0.0  # of what rounding left

    def _size_ms(self, now_ms: int, window: Window) -> int:
        elapsed_ms = now_ms - self._samples[0].began_ms if self._samples else 0
        missing = window.samples - 1 - elapsed_ms // window.sample_ms
        return max(elapsed_ms + max(missing, 0) * window.sample_ms, 1)


class TokenBucket:
    """Tokens come at the bound's rate, as many as fit into the window (KIP-599). They may be overdrawn once:
    a change that is larger than the bucket is done, and paid for by waiting.
    """

    __slots__ = ("_last_ms", "_tokens")

    def __init__(self, now_ms: int, bound: float, window: Window) -> None:
        self._last_ms = now_ms
        self._tokens = window.seconds * bound

    def take(self, value: float, bound: float, now_ms: int, window: Window) -> None:
        self._refill(bound, now_ms, window)
        self._tokens -= value

    def wait_ms(self, bound: float, now_ms: int, window: Window) -> int:
        """How long until it is not overdrawn any more; 0 where it is not."""
        self._refill(bound, now_ms, window)
        return 0 if self._tokens >= 0 else math.floor(-self._tokens / bound * 1000 + 0.5)

    def _refill(self, bound: float, now_ms: int, window: Window) -> None:
        come = bound * (now_ms - self._last_ms) / 1000
        self._tokens = min(window.seconds * bound, self._tokens + come)
        self._last_ms = now_ms


def with_room(kept: dict[K, V], most: int, is_over: Callable[[V], bool]) -> dict[K, V]:
    """The newest of those that are not over, at most nine tenths of `most`: it looks at all of them, which
    is not to happen whenever one more comes.
    """
    left = [(key, each) for key, each in kept.items() if not is_over(each)]
    return dict(left[max(0, len(left) - most * 9 // 10) :])
