"""State of an application: stores, their caches, their changelogs.

A store is a stack, top to bottom: the typed store (serdes, windows, sessions, versions), a write-back cache,
the changelog, ordered bytes (memory, lmdb, RocksDB). Whatever a store means by a key is one byte string in
that order, so cache, changelog and bytes are written once for all kinds.
"""
