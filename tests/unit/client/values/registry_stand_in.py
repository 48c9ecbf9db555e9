"""A registry that is a dict."""

from __future__ import annotations

from uuid import UUID

from ottla.client.values.registry import Registered, RegistryError, Schema


class Shelf:
    """Ids count up from 1; GUIDs are the ids."""

    def __init__(self) -> None:
        self.schemas: dict[int, Schema] = {}
        self.versions: dict[str, list[int]] = {}
        self.seen: dict[int | UUID, Schema] = {}
        self.asked = 0
        self.fails: RegistryError | None = None

    @property
    def subjects(self) -> list[str]:
        return list(self.versions)

    def guid_of(self, schema_id: int) -> UUID:
        return UUID(int=schema_id)

    def put(self, schema_id: int, schema: Schema) -> None:
        self.schemas[schema_id] = schema

    def known(self, schema_id: int | UUID) -> Schema | None:
        return self.seen.get(schema_id)

    def schema(self, schema_id: int | UUID) -> Schema:
        if schema_id not in self.seen:
            self.asked += 1
            if self.fails is not None:
                raise self.fails
            number = schema_id.int if isinstance(schema_id, UUID) else schema_id
            if number not in self.schemas:
                raise RegistryError("no such schema", 404, 40403)
            self.seen[schema_id] = self.schemas[number]
        return self.seen[schema_id]

    def register(self, subject: str, schema: Schema, *, normalize: bool = False) -> Registered:
        found = next((each for each, have in self.schemas.items() if have == schema), None)
        if found is None:
            found = max(self.schemas, default=0) + 1
            self.schemas[found] = schema
        if found not in self.versions.setdefault(subject, []):
            self.versions[subject].append(found)
        return self._called(subject, found)

    def lookup(self, subject: str, schema: Schema, *, normalize: bool = False) -> Registered:
        for each in self.versions.get(subject, []):
            if self.schemas[each] == schema:
                return self._called(subject, each)
        raise RegistryError("no such schema", 404, 40403)

    def latest(self, subject: str) -> Registered:
        if subject not in self.versions:
            raise RegistryError("no such subject", 404, 40401)
        return self._called(subject, self.versions[subject][-1])

    def _called(self, subject: str, schema_id: int) -> Registered:
        version = self.versions[subject].index(schema_id) + 1
        return Registered(schema_id, self.schemas[schema_id], self.guid_of(schema_id), version)
