"""Compaction: what to clean, what survives of a batch, and the rewriting of segments."""
