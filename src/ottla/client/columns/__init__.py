"""Record batches to columns and back. Nothing here needs pyarrow until an Arrow table is asked for."""

from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns, Record
from ottla.client.columns.decode import CorruptRecordsError, FetchedRecords

__all__ = ["BinaryColumn", "Columns", "CorruptRecordsError", "FetchedRecords", "HeadersColumn", "Record"]
