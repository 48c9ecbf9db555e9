"""A log's files on the local disk: segments with their indexes, reading, recovery."""
