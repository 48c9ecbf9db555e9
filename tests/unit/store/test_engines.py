"""The engines of both local stores, held against each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.metadata.transaction import Compare, Delete, DeletePrefix, Put
from ottla.store.interface import prefix_end
from ottla.store.memory import MemoryEngine
from ottla.store.sqlite import SqliteEngine

from .conftest import transaction

KEYS = st.sampled_from(["/a", "/a/1", "/b", "/b/1", "/c"])
PREFIXES = st.sampled_from(["", "/a", "/b/"])
WRITES = st.lists(
    st.one_of(
        st.builds(Put, KEYS, st.binary(max_size=2), st.sampled_from([0, 0, 1, 2])), st.builds(Delete, KEYS)
    ),
    max_size=4,
    unique_by=lambda each: each.key,
) | st.builds(
    lambda prefix, value: [DeletePrefix(prefix), Put("/c", value)],
    st.sampled_from(["/a", "/a/", "/b/"]),
    st.binary(max_size=2),
)
COMPARES = st.lists(st.builds(Compare, KEYS, st.integers(0, 4)), max_size=1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), COMPARES, WRITES),
        st.tuples(st.just("write"), st.just([]), WRITES),
        st.tuples(st.just("delete_leased"), st.integers(1, 3)),
        st.tuples(st.just("compact"), st.integers(0, 8)),
        st.tuples(st.just("events"), PREFIXES, st.integers(0, 8)),
        st.tuples(st.just("range"), PREFIXES, st.integers(0, 8), st.none() | st.integers(1, 3), KEYS),
    ),
    max_size=25,
)


def perform(engine, step):
    """The step's outcome, an error by its type."""
    try:
        match step:
            case ("write", compares, writes):
                return engine.transaction(transaction(*writes, compares=compares))
            case (operation, *arguments):
                return getattr(engine, operation)(*arguments)
    except (LookupError, ValueError) as error:
        return type(error)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_sqlite_behaves_as_the_model(steps):
    model, durable = MemoryEngine(), SqliteEngine(":memory:")
    try:
        for step in steps:
            assert perform(durable, step) == perform(model, step), step
            assert durable.range("") == model.range("", None, None, "")
            assert durable.revision == model.revision
    finally:
        durable.close()


def test_prefix_end_is_the_least_upper_bound():
    assert prefix_end("/a/") == "/a0"
    assert prefix_end("a\U0010ffff") == "b"
    assert prefix_end("\ud7ff") == "\ue000"
    assert prefix_end("") is None
    assert prefix_end("\U0010ffff") is None
