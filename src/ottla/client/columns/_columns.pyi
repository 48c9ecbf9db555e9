# The compiled twin of `plain`, from `native/`: what it offers has the same types.

from typing import Final

from ottla.client.columns.plain import BatchBuilder as BatchBuilder
from ottla.client.columns.plain import Sink as Sink
from ottla.client.columns.plain import allocate as allocate
from ottla.client.columns.plain import concat as concat
from ottla.client.columns.plain import decode as decode
from ottla.client.columns.plain import group_rows as group_rows
from ottla.client.columns.plain import hash_key as hash_key
from ottla.client.columns.plain import hash_keys as hash_keys
from ottla.client.columns.plain import join as join
from ottla.client.columns.plain import last_batch as last_batch
from ottla.client.columns.plain import records as records
from ottla.client.columns.plain import seal as seal
from ottla.client.columns.plain import split as split
from ottla.client.columns.plain import strings as strings
from ottla.records.batch import Buffer

NAME: Final[str]

def crc32c(data: Buffer, hardware: bool = True, /) -> int: ...
