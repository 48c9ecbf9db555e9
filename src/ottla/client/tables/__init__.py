"""Topics as tables: see `read`."""

from ottla.client.tables.ranges import Bound
from ottla.client.tables.reading import latest, read, read_columns, stream
from ottla.client.tables.scan import Progress

__all__ = ["Bound", "Progress", "latest", "read", "read_columns", "stream"]
