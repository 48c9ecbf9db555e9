"""What an application asked to read: topics, a pattern, or partitions of its own choice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.core.metadata import ClusterMetadata
from ottla.client.errors import ConfigurationError


class Matcher(Protocol):
    """A compiled pattern: `re`'s, or one of a library that takes no patterns' word for their cost."""

    def fullmatch(self, string: str, /) -> object: ...


Pattern = str | Matcher


class Subscription:
    def __init__(self, settings: ConsumerSettings) -> None:
        self._resolved_there = settings.group_protocol == "consumer"
        self._without_internal = settings.exclude_internal_topics
        self._topics: Sequence[str] = ()
        self._pattern: Matcher | None = None
        self.regex: str | None = None
        """A pattern that the coordinator resolves."""
        self.is_assigned = False

    def subscribe(self, topics: Iterable[str] | str, pattern: Pattern | None) -> None:
        """ConfigurationError for both, for neither, and for a pattern that is none."""
        names = [topics] if isinstance(topics, str) else list(dict.fromkeys(topics))
        if bool(names) == (pattern is not None):
            raise ConfigurationError("give topics or a pattern to subscribe")
        self._topics, self._pattern, self.regex = names, None, None
        if isinstance(pattern, str) and self._resolved_there:
            self.regex = pattern
        elif pattern is not None:
            try:
                self._pattern = re.compile(pattern) if isinstance(pattern, str) else pattern
            except re.error as error:
                raise ConfigurationError(f"pattern {pattern!r}: {error}") from None

    def clear(self) -> None:
        self._topics, self._pattern, self.regex = (), None, None
        self.is_assigned = False

    def topics(self) -> Sequence[str]:
        return self._topics

    def topics_wanted(self) -> Sequence[str] | None:
        """What metadata is to tell of; None for all topics, of which some will match."""
        return None if self._pattern is not None or self.regex is not None else self._topics

    def match(self, metadata: ClusterMetadata) -> None:
        """Topics come and go."""
        if self._pattern is not None:
            self._topics = sorted(
                name
                for name, view in metadata.topics.items()
                if self._pattern.fullmatch(name) and not (view.is_internal and self._without_internal)
            )
