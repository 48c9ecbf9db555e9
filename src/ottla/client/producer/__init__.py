"""The producer: records and columns go out in batches, in order, once, and in transactions."""
