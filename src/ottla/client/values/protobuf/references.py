"""What a .proto file imports, in a registry."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.client.values.interface import ValuesError
from ottla.client.values.protobuf.schema import imports_of
from ottla.client.values.registry import Reference, Registry, RegistryError, Schema

__all__ = ["registered_imports"]


def registered_imports(
    registry: Registry, text: str, files: Mapping[str, str], *, registers: bool, normalize: bool = False
) -> tuple[Reference, ...]:
    """The references of `text`: each file that it imports, and that those import, is under its path, as
    Confluent's clients have it. `registers`: where it is not yet; otherwise it has to be. `files` has their
    texts."""
    done: dict[str, Reference] = {}
    begun: dict[str, None] = {}

    def reference_of(name: str) -> Reference:
        if name in done:
            return done[name]
        if name in begun:
            raise ValuesError(f"{name} imports itself")
        begun[name] = None
        found = files.get(name)
        if found is None:
            raise ValuesError(f"the Protobuf schema imports {name}: its text is not in `files`")
        schema = Schema("PROTOBUF", found, references_of(found))
        version = registry.register(name, schema, normalize=normalize).version if registers else None
        if version is None:
            version = _looked_up(registry, name, schema, normalize=normalize)
        made = done[name] = Reference(name, name, version)
        return made

    def references_of(text: str) -> tuple[Reference, ...]:
        return tuple(reference_of(name) for name in imports_of(text))

    return references_of(text)


def _looked_up(registry: Registry, name: str, schema: Schema, *, normalize: bool) -> int:
    try:
        return registry.lookup(name, schema, normalize=normalize).version or 1
    except RegistryError as error:
        if not error.is_missing:
            raise
        raise ValuesError(f"the Protobuf schema imports {name}, which is not registered") from error
