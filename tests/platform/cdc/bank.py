"""A database under load, of which is known what its changes have to be: accounts' counters that grow by one,
and a journal, whose COPY puts many rows at one place of the log.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from tests.platform.cdc.postgres import PostgresServer

ACCOUNTS: Final = 20
DATABASE: Final = "bank"
_TABLES: Final = (
    "CREATE TABLE accounts (id int PRIMARY KEY, n bigint NOT NULL)",
    "CREATE TABLE journal (id bigserial PRIMARY KEY, note text)",
    f"INSERT INTO accounts SELECT i, 0 FROM generate_series(0, {ACCOUNTS - 1}) i",
    "INSERT INTO journal (note) SELECT 'before' FROM generate_series(1, 500)",
)
Event = dict[str, Any]
"""A change, as Debezium's envelope has it"""


class Load(threading.Thread):
    """Transactions until `end`."""

    def __init__(self, server: PostgresServer, seed: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._random = random.Random(seed)
        self._end = threading.Event()
        self.transactions = 0

    def run(self) -> None:
        while not self._end.is_set():
            try:
                with self._server.connect(DATABASE) as connection:
                    while not self._end.is_set():
                        with connection.transaction():
                            self._work(connection)
                        self.transactions += 1
                        time.sleep(0.01)
            except psycopg.OperationalError:
                time.sleep(0.1)

    def _work(self, connection: psycopg.Connection[Any]) -> None:
        for _ in range(self._random.randint(1, 6)):
            connection.execute(
                "UPDATE accounts SET n = n + 1 WHERE id = %s", [self._random.randrange(ACCOUNTS)]
            )
        count = self._random.choice((0, 1, 5, 40))
        with connection.cursor() as cursor, cursor.copy("COPY journal (note) FROM STDIN") as copy:
            for _ in range(count):
                copy.write_row((f"note {self._random.random()}",))

    def end(self) -> None:
        self._end.set()
        self.join(60)


class Bank:
    """Has `server` have the database."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        server.create(DATABASE)
        server.execute(DATABASE, _TABLES)

    def is_all_in(self, journal: Sequence[Event], accounts: Sequence[Event]) -> bool:
        """Whether the events of both tables are those of the database until now."""
        ids, numbers = self._rows()
        last = {each["after"]["id"]: each["after"]["n"] for each in accounts}
        return {each["after"]["id"] for each in journal} >= ids and last == numbers

    def _rows(self) -> tuple[set[int], dict[int, int]]:
        with self._server.connect(DATABASE) as connection:
            ids = {row[0] for row in connection.execute("SELECT id FROM journal")}
            return ids, dict(connection.execute("SELECT id, n FROM accounts").fetchall())

    def check(self, journal: Sequence[Event], accounts: Sequence[Event], *, once: bool) -> None:
        """Each change, in order; once, or what comes again comes again in order."""
        ids, last = self._rows()
        read, changed = Counter[int](), Counter[int]()
        for each in journal:
            (read if each["op"] == "r" else changed)[each["after"]["id"]] += 1
        assert set(read) | set(changed) == ids
        assert not set(read) & set(changed), "what the snapshot saw is not streamed"
        assert not once or set(changed.values()) <= {1}
        begins: dict[int, int] = {}
        numbers: dict[int, list[int]] = {number: [] for number in last}
        for each in accounts:
            account, number = each["after"]["id"], each["after"]["n"]
            if each["op"] == "r":
                begins[account] = number
            else:
                numbers[account].append(number)
        for account, found in numbers.items():
            firsts = found if once else list(dict.fromkeys(found))
            assert firsts == list(range(begins[account] + 1, last[account] + 1)), account
