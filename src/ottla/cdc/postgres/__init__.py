"""PostgreSQL, by its own logical decoding (pgoutput)."""
