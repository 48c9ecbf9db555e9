"""How the C library keeps memory that large requests gave back."""

from __future__ import annotations

import functools

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 8 << 20
_FROM_HEAP_BYTES = 4 << 20


@functools.cache
def keep_freed_memory() -> None:
    """Have up to 8 MiB stay with the process when freed, where the C library is glibc.

    It would go back to the system with each large request and come again, page by page, with the next, which
    took a third to a half of the time of 1 MB batches. Called with the first such request, as it takes
    some milliseconds.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _FROM_HEAP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
