"""A plugin of mypy that finds where the order of a set's members matters (error code `set-order`).

Members that hash by identity come in the order of their addresses, and texts in an order that each process
draws anew: two runs would differ. Only numbers, and what is made of them, come in the same order everywhere.
So a set of anything else is not iterated, nothing is popped from it, and it is not given to a function that
iterates (such as `list`), unless the order does not matter there (such as `sorted`). A dict has an order.

What functions of our own do with an `Iterable` is looked at in them alone: there it may be a set unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy.errorcodes import ErrorCode
from mypy.nodes import ArgKind, SetExpr
from mypy.plugin import FunctionContext, MethodContext, Plugin
from mypy.types import Instance, TupleType, Type, UnionType, get_proper_type

SET_ORDER: Final = ErrorCode("set-order", "The order of a set's members matters", "General")
_SETS: Final = frozenset({"builtins.set", "builtins.frozenset", "typing.AbstractSet", "typing.MutableSet"})
_ALIKE: Final = frozenset({"builtins.int", "builtins.float", "uuid.UUID"})
"""Their hashes are the same in every process."""
_INDIFFERENT: Final = frozenset(
    f"builtins.{name}" for name in ("all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum")
)


class SetOrder(Plugin):
    """Looks at each call; `for` and comprehensions are calls of `__iter__`."""

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        class_name, _, name = fullname.rpartition(".")
        if class_name in _SETS:
            return self._iterated if name in {"__iter__", "pop"} else None
        return self._unpacked if _is_indifferent(fullname) or name.startswith("__") else self._given

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        return self._unpacked if _is_indifferent(fullname) else self._given

    def _iterated(self, call: MethodContext) -> Type:
        _complain(call, call.type)
        return call.default_return_type

    def _given(self, call: FunctionContext | MethodContext) -> Type:
        for given in call.arg_types:
            for each in given:
                _complain(call, each)
        return call.default_return_type

    def _unpacked(self, call: FunctionContext | MethodContext) -> Type:
        """Displays come here too, as `[*names]`."""
        for given, kinds in zip(call.arg_types, call.arg_kinds, strict=True):
            for each, kind in zip(given, kinds, strict=True):
                if kind is ArgKind.ARG_STAR:
                    _complain(call, each)
        return call.default_return_type


def _is_indifferent(fullname: str) -> bool:
    return fullname in _INDIFFERENT or fullname.startswith(("ottla.", "<"))


def _complain(call: FunctionContext | MethodContext, iterated: Type) -> None:
    if _differs(iterated) and not isinstance(call.context, SetExpr):
        call.api.fail(f"The order of {iterated} differs", call.context, code=SET_ORDER)


def _differs(type_: Type) -> bool:
    proper = get_proper_type(type_)
    if isinstance(proper, UnionType):
        return any(map(_differs, proper.items))
    return (
        isinstance(proper, Instance)
        and proper.type.fullname in _SETS
        and not all(map(_is_alike, proper.args))
    )


def _is_alike(type_: Type) -> bool:
    proper = get_proper_type(type_)
    if isinstance(proper, UnionType | TupleType):
        return all(map(_is_alike, proper.items))
    return isinstance(proper, Instance) and any(base.fullname in _ALIKE for base in proper.type.mro)


def plugin(_version: str) -> type[Plugin]:
    """What mypy asks for."""
    return SetOrder
