"""What the bytes of keys and values mean: text, JSON, or as they are, as Arrow arrays and back.

Only `interface.py`, `registry.py` are free of pyarrow; the others need the extra `arrow`.
"""
