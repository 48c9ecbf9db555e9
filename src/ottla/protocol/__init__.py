"""The wire: headers, which messages exist, and their encoding. Pure."""

from ottla.protocol.lean_kio import import_kio

import_kio()
