"""Paths that name a context first: `/contexts/.c/subjects/orders` is `/subjects/:.c:orders`."""

from __future__ import annotations

from typing import Final

from ottla.http.app import Request
from ottla.registry.state.errors import RegistryError
from ottla.registry.state.subjects import ANY_CONTEXT, DEFAULT_CONTEXT, normalised_context, prefix_of

_SCOPED: Final = ("config", "mode")


def leave_context(request: Request) -> None:
    """Have the names of subjects say the context that the path said."""
    path = request.path
    if len(path) < 2 or path[0] != "contexts" or (len(path) == 2 and request.method == "DELETE"):
        return
    try:
        context = normalised_context(path[1])
    except ValueError as error:
        raise RegistryError(400, str(error)) from None
    prefix, rest = prefix_of(context), list(path[2:])
    if rest and rest[0] in _SCOPED and len(rest) < 3:
        name = rest[1] if len(rest) > 1 else ""
        scope = _qualified(prefix, name)
        rest = [rest[0], scope] if scope else rest[:1]
    elif "subjects" in rest[:2]:
        at = rest.index("subjects") + 1
        if at < len(rest):
            rest[at] = _qualified(prefix, rest[at])
    if rest[:2] == ["schemas", "ids"]:
        request.query["subject"] = [_qualified(prefix, request.text("subject"))]
    elif rest in (["schemas"], ["subjects"]):
        given = request.text("subjectPrefix")
        in_context = prefix or (":.:" if context == DEFAULT_CONTEXT else "")
        request.query["subjectPrefix"] = [_qualified(in_context, given)]
    elif rest[:1] == ["contexts"]:
        rest = ["contexts"]
    request.path = tuple(rest)


def _qualified(prefix: str, name: str) -> str:
    return name if name.startswith((":.", ANY_CONTEXT)) else prefix + name
