"""Records as bytes and back, a file for each format, which has both ways: what `ottla consume` writes in a
format, `ottla produce` reads from it.
"""

from typing import Final

TABLES: Final = ("parquet", "arrow", "arrow-stream")
FORMATS: Final = ("text", "json", "csv", "raw", *TABLES)
