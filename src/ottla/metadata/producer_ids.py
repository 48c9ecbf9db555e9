"""Producer ids come in blocks, so that a broker asks the store once for many producers (KIP-730)."""

from __future__ import annotations

from typing import NamedTuple

from ottla.metadata import model
from ottla.metadata.transaction import Compare, KeyValue, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError

_LAST_ID = (1 << 63) - 1


class ProducerIdBlock(NamedTuple):
    """The ids from `first` on, `size` of them; no other block has them, whatever becomes of this one."""

    first: int
    size: int


def allocate_producer_ids(stored: KeyValue | None) -> tuple[Transaction, ProducerIdBlock]:
    """The block after what is `stored` under `model.PRODUCER_IDS`, for whoever commits the transaction."""
    first = 0 if stored is None else model.decode_producer_ids(stored.value)
    if first > _LAST_ID - model.PRODUCER_ID_BLOCK_SIZE:
        raise KafkaError(ErrorCode.unknown_server_error, "Exhausted all producer ids.")
    block = ProducerIdBlock(first, model.PRODUCER_ID_BLOCK_SIZE)
    transaction = Transaction(
        compares=(Compare.unchanged(model.PRODUCER_IDS, 0 if stored is None else stored.mod_revision),),
        writes=(Put(model.PRODUCER_IDS, model.encode_producer_ids(first + block.size)),),
    )
    return transaction, block
