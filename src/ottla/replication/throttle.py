"""How much is replicated of throttled replicas, and whether that is more than may be (KIP-73)."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Window(NamedTuple):
    """What a rate is measured over: so many samples, each of so many milliseconds."""

    samples: int
    sample_ms: int


class Rate:
    """Bytes for each second, as Kafka measures it: what came in the window, over the time since the oldest
    sample in it began, which counts as one sample at least. So a burst is made good for by a pause.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque()  # when each began, and its bytes

    def record(self, size: int, now_ms: int, window: Window) -> None:
        if self._samples and now_ms - self._samples[-1][0] < window.sample_ms:
            began_ms, so_far = self._samples.pop()
            self._samples.append((began_ms, so_far + size))
        else:
            self._samples.append((now_ms, size))
        self._purge(now_ms, window)

    def per_second(self, now_ms: int, window: Window) -> float:
        self._purge(now_ms, window)
        if not self._samples:
            return 0.0
        elapsed_ms = max(now_ms - self._samples[0][0], window.sample_ms)
        return sum(size for _, size in self._samples) * 1000 / elapsed_ms

    def _purge(self, now_ms: int, window: Window) -> None:
        while self._samples and now_ms - self._samples[0][0] >= window.samples * window.sample_ms:
            self._samples.popleft()
