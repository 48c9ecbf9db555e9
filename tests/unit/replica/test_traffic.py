"""What is counted of topics, and stays counted when they go."""

from __future__ import annotations

from ottla.replica.traffic import Traffic


def test_sums_never_go_back() -> None:
    traffic = Traffic()
    for topic, size in (("a", 10), ("b", 20), ("a", 5)):
        counted = traffic.of(topic)
        counted.bytes_in += size
        counted.produces += 1
    traffic.elsewhere.failed_produces += 1
    traffic.forget("a")
    traffic.forget("a")
    assert (traffic.total().bytes_in, traffic.total().produces, traffic.total().failed_produces) == (35, 3, 1)
    assert list(traffic.by_topic) == ["b"]
    assert traffic.of("a").bytes_in == 0, "another topic of that name begins anew"
