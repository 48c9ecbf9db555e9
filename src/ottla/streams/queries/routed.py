"""A store as the whole application has it: each question goes to who can answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ottla.streams.queries.errors import QueryError, StoreUnavailableError
from ottla.streams.queries.questions import (
    Keyed,
    Question,
    decode_answer,
    decode_question,
    encode_answer,
    encode_answers,
    encode_question,
    key_bytes,
    question,
)
from ottla.streams.queries.routes import Host, Place, Routes
from ottla.streams.queries.transport import ask
from ottla.streams.state.stores import Time


class Answers(NamedTuple):
    """By partition: what its store answers, or why it does not."""

    found: Mapping[int, Any]
    refused: Mapping[int, str]


Local = Callable[[Question], Answers]
"""What this instance answers of the partitions that are asked."""


def answered(posted: object, store_of: Callable[[str], Keyed | None], local: Local) -> dict[str, Any]:
    """What another instance is told that posted a question. QueryError for what is none."""
    asked = decode_question(posted, store_of)
    store = store_of(asked.store)
    assert store is not None  # or it was no question
    answers = local(asked)
    return {
        "rows": {str(number): rows for number, rows in encode_answers(asked, answers.found, store).items()},
        "refused": {str(number): why for number, why in answers.refused.items()},
    }


class RoutedStore:
    """What all instances together have of a store. A question of one key goes to the instance that has it,
    others go to all that have a part; what comes from several parts is not in the order of the keys.

    The active instance answers; with a `max_lag`, where it does not, one that follows it and lacks no more
    records of the changelog than that. Raises QueryError, and StoreUnavailableError while a part moves.
    """

    def __init__(
        self,
        store: Keyed,
        routes: Callable[[], Routes],
        here: Host | None,
        local: Local,
        max_lag: int | None = None,
    ) -> None:
        self._store = store
        self._routes = routes
        self._here = here
        self._local = local
        self._max_lag = max_lag

    def get(self, key: Any) -> Any:
        return next(self._of_key("get", key), None)

    def range(self, start: Any, end: Any) -> Iterator[Any]:
        """None: from the first, or to the last."""
        return self._everywhere("range", start, end)

    def reverse_range(self, start: Any, end: Any) -> Iterator[Any]:
        return self._everywhere("reverse_range", start, end)

    def all(self) -> Iterator[Any]:
        return self._everywhere("all")

    def fetch(self, key: Any, start: Time | None = None, end: Time | None = None) -> Any:
        """As the local store's `fetch`."""
        if start is None:
            return self._of_key("sessions", key)
        if end is None:
            return next(self._of_key("window", key, start), None)
        return self._of_key("windows", key, start, end)

    def fetch_all(self, start: Time, end: Time) -> Iterator[Any]:
        return self._everywhere("all_windows", start, end)

    def fetch_keys(self, key_from: Any, key_to: Any, start: Time, end: Time) -> Iterator[Any]:
        return self._everywhere("windows_of_keys", key_from, key_to, start, end)

    def find_sessions(self, key: Any, earliest_end: Time, latest_start: Time) -> Iterator[Any]:
        return self._of_key("sessions_between", key, earliest_end, latest_start)

    def _of_key(self, kind: str, key: Any, *times: Time) -> Iterator[Any]:
        data = key_bytes(self._store, key)
        if data is None:
            raise QueryError(f"the store {self._store.name} has no null keys")
        return self._ask(kind, (key, *times), lambda routes: [routes.place_of_key(self._store.name, data)])

    def _everywhere(self, kind: str, *arguments: Any) -> Iterator[Any]:
        return self._ask(kind, arguments, lambda routes: routes.places(self._store.name))

    def _ask(
        self, kind: str, arguments: tuple[Any, ...], places: Callable[[Routes], Sequence[Place]]
    ) -> Iterator[Any]:
        asked = replace(question(self._store, kind, *arguments), max_lag=self._max_lag)
        left = {place.partition: self._candidates(place) for place in places(self._routes())}
        found: dict[int, list[Any]] = {}
        reasons: dict[int, str] = {}
        while left:
            by_host: dict[Host, list[int]] = {}
            for partition, hosts in left.items():
                if not hosts:
                    why = reasons.get(
                        partition, "nobody is known to have it, so that it may be about to move"
                    )
                    raise StoreUnavailableError(
                        f"partition {partition} of the store {self._store.name} cannot be asked now: {why}"
                    )
                by_host.setdefault(hosts[0], []).append(partition)
            for host, partitions in by_host.items():
                values, refused = self._ask_at(host, replace(asked, partitions=tuple(partitions)))
                reasons |= refused
                for partition in partitions:
                    if partition in values:
                        found[partition] = values[partition]
                        del left[partition]
                    else:
                        left[partition] = left[partition][1:]
        return (value for partition in sorted(found) for value in found[partition])

    def _candidates(self, place: Place) -> list[Host]:
        """Who may answer, in the order in which they are asked."""
        hosts = [] if place.active is None else [place.active]
        if self._max_lag is not None:
            hosts += sorted(place.standby, key=lambda host: host != self._here)
        return hosts

    def _ask_at(self, host: Host, asked: Question) -> tuple[dict[int, list[Any]], Mapping[int, str]]:
        if host == self._here:
            answers = self._local(asked)
            rows = {number: encode_answer(asked, each, self._store) for number, each in answers.found.items()}
            refused = answers.refused
        else:
            try:
                told = ask(host, encode_question(asked, self._store))
                rows = {int(number): each for number, each in told["rows"].items()}
                refused = {int(number): str(why) for number, why in told["refused"].items()}
            except StoreUnavailableError as error:
                return {}, dict.fromkeys(asked.partitions, str(error))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise QueryError(f"{host[0]}:{host[1]} answers what is no answer: {error}") from error
        values = {number: list(decode_answer(asked, each, self._store)) for number, each in rows.items()}
        return values, refused
