"""Record batches to columns (`decode`) and back, and what holds them (`columns`).

Nothing here needs pyarrow until an Arrow table is asked for.
"""
