"""What waits in an outer join's store is let go by a task that did not put it there."""

from __future__ import annotations

from ottla.streams import JoinWindows, StreamsBuilder, Text, TopologyTest

STORE = "KSTREAM-OUTERSHARED-0000000004-store"


def test_restored_records_are_let_go() -> None:
    builder = StreamsBuilder(Text(), Text())
    left, right = builder.stream("left"), builder.stream("right")
    left.outer_join(right, lambda one, other: f"{one}+{other}", windows=JoinWindows.of(10)).to("out")
    topology = builder.build()
    with TopologyTest(topology, {"application_id": "app"}) as before:
        before.input("left").pipe("a", "A", ts=0)
        assert before.output("out").read() == []
        changes = before.output(f"app-{STORE}-changelog", Text(), Text()).read_raw()
    with TopologyTest(topology, {"application_id": "app"}) as after:
        after.store(STORE).restore((change.key, change.value, change.timestamp) for change in changes)
        after.input("right").pipe("b", "B", ts=100)
        assert [(record.key, record.value, record.timestamp) for record in after.output("out").read()] == [
            ("a", "A+None", 0)
        ]
