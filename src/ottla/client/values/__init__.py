"""What the bytes of keys and values mean: text, JSON, Avro, or as they are, as Arrow arrays and back.

Of these files only `interface.py`, `factories.py`, `registry.py` are free of pyarrow; the others need the
extra `arrow`.
"""
