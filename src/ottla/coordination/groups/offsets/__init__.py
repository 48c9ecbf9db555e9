"""Committed offsets: where they are kept, committed, fetched, deleted and expired."""
