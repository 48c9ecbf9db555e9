"""How long to wait before trying again."""

from __future__ import annotations

from typing import NamedTuple

_MAX_EXPONENT = 30


class Backoff(NamedTuple):
    """Exponential from `first_ms` up to `max_ms`, each wait varied by up to a fifth (KIP-144, KIP-580), so
    that clients which failed together don't come back together.
    """

    first_ms: int
    max_ms: int

    def delay_ms(self, failures: int, chance: float) -> float:
        """After so many failures in a row, at least one; `chance` is random in [0, 1)."""
        exponent = min(max(failures, 1) - 1, _MAX_EXPONENT)
        full = min(self.first_ms * (1 << exponent), max(self.max_ms, self.first_ms))
        return min(full * (0.8 + 0.4 * chance), float(max(self.max_ms, self.first_ms)))
