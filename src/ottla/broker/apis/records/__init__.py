"""Records and offsets of partitions."""
