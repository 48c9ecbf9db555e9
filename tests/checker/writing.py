"""Sends out of order, zombies, and transactions that each have read what the other wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tests.checker.facts import Anomaly, Facts, Fate, Written, anomaly, ended
from tests.checker.history import Kind, Operation, Outcome, Partition


def nonmonotonic_sends(facts: Facts) -> Iterator[Anomaly]:
    """What a process sends to a partition, and is acknowledged, lies there in the order of sending."""
    before: dict[tuple[str, Partition], tuple[int, Written]] = {}
    for written in sorted(facts.written.values(), key=lambda each: each.send.invoked):
        operation, send = written
        offset = facts.contents[send.partition].offsets.get(send.value)
        if not send.acknowledged or offset is None:
            continue
        last, by = before.get((operation.process, send.partition), (-1, written))
        if offset < last:
            text = f"{send.value!r} was sent after {by.send.value!r}"
            yield anomaly("nonmonotonic send", text, [by.operation, operation], send.partition, last, offset)
        before[operation.process, send.partition] = offset, written


def zombies(facts: Facts) -> Iterator[Anomaly]:
    """Whoever initialises a transactional id fences those who did before: they send and commit no more."""
    own: dict[tuple[str | None, str], float] = {}
    """When a process had its last initialisation that may have had an effect."""
    for operation in facts.operations:
        if operation.kind is Kind.init and operation.outcome is not Outcome.failed:
            which = operation.transactional_id, operation.process
            own[which] = max(own.get(which, 0.0), ended(operation))
    fenced = {
        (id_, process): facts.inits[id_].first_since(time, other_than=process)
        for (id_, process), time in own.items()
        if id_ in facts.inits
    }
    for operation in facts.operations:
        by = fenced.get((operation.transactional_id, operation.process))
        if operation.kind is not Kind.transaction or by is None:
            continue
        for send in operation.sends:
            if send.acknowledged and send.invoked > ended(by):
                text = f"{send.value!r} was taken from it"
                offsets = () if send.offset is None else (send.offset,)
                yield anomaly("zombie", text, [operation, by], send.partition, *offsets)
        if operation.outcome is Outcome.ok and operation.asked is not None and operation.asked > ended(by):
            yield anomaly("zombie", "it committed", [operation, by])


def cycles(facts: Facts) -> Iterator[Anomaly]:
    """G1c at read_committed: committed transactions that, round and round, read what the next one wrote."""
    edges: dict[int, dict[int, Operation]] = defaultdict(dict)
    for reader, poll in facts.polls():
        if not poll.is_committed or reader.kind is not Kind.transaction:
            continue
        if facts.fate_of_transaction(reader) is Fate.hidden:
            continue
        for _, value in poll.records:
            written = facts.written.get((poll.partition, value))
            writer = written.operation if written is not None else reader
            if writer.kind is Kind.transaction and writer is not reader:
                edges[id(writer)][id(reader)] = reader
    readers = {each: reader for targets in edges.values() for each, reader in targets.items()}
    for component in _strongly_connected(edges):
        members = [readers[each] for each in component]
        yield anomaly("G1c", f"{len(members)} transactions have read from one another in a circle", members)


def _strongly_connected(edges: Mapping[int, Mapping[int, Operation]]) -> Iterator[list[int]]:
    """Tarjan's components of more than one node, without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    for root in edges:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(edges.get(root, {})))]
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges.get(target, {}))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = [stack.pop()]
                    while component[-1] != node:
                        component.append(stack.pop())
                    on_stack.difference_update(component)
                    if len(component) > 1:
                        yield component
