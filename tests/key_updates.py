"""A client of TLS 1.3 that asks for new keys, which Python's ssl cannot."""

from __future__ import annotations

import ctypes
import ssl

import pytest

_UPDATE_REQUESTED = 1
_SSL_AT = object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
"""Where CPython's object has OpenSSL's: behind its head and the Python object that it belongs to"""


def ask_for_keys(client: ssl.SSLObject) -> None:
    """Has it say so, which the other side answers in kind."""
    try:
        library = ctypes.CDLL("libssl.so.3")
    except OSError as error:
        pytest.skip(f"needs OpenSSL's library: {error}")
    held = ctypes.c_void_p.from_address(id(client._sslobj) + _SSL_AT)  # type: ignore[attr-defined]
    assert library.SSL_key_update(held, _UPDATE_REQUESTED) == 1
    assert library.SSL_do_handshake(held) == 1
