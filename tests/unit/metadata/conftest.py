"""A cluster whose image follows its store."""

import pytest

from ottla.metadata.image import MetadataImage, image_at
from ottla.metadata.transaction import Transaction
from ottla.store.memory import MemoryEngine


class Cluster:
    """A store, and the image that follows it change by change."""

    def __init__(self):
        self.store = MemoryEngine()
        self.image = MetadataImage()

    def write(self, *writes):
        self.store.transaction(Transaction(writes=writes))
        _, events = self.store.events("", self.image.revision + 1)
        self.image, delta = self.image.apply(events)
        present = self.store.range("")
        assert self.image == image_at(present.revision, present.entries)
        return delta


@pytest.fixture
def cluster():
    return Cluster()
