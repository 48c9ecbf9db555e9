"""Topic name patterns of KIP-848's `SubscribedTopicRegex`: RE2's syntax, matched in linear time.

The pattern comes from a client and runs inside the coordinator, so a backtracking engine is out of the
question: `(a+)+$` would stop the broker. Kafka uses RE2 for the same reason. This is the part of RE2 that
answers "does the whole name match?", which needs neither groups nor greediness, over topic names, which
are ASCII.
"""

from __future__ import annotations

from ottla.coordination.consumer.regex.automaton import TopicPattern, compile_pattern
from ottla.coordination.consumer.regex.parser import PatternError

__all__ = ["PatternError", "TopicPattern", "compile_pattern"]
