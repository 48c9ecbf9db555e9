"""Names of subjects: `orders-value`, or `:.context:orders-value` for one outside of the default context."""

from __future__ import annotations

from typing import Final, NamedTuple

from ottla.registry.state.errors import RegistryError, invalid_subject

DEFAULT_CONTEXT: Final = "."
GLOBAL_CONTEXT: Final = ".__GLOBAL"
ANY_CONTEXT: Final = ":*:"
_RESERVED: Final = ("__GLOBAL", "__EMPTY")


class Subject(NamedTuple):
    """`name` is empty for a context as a whole."""

    context: str
    name: str

    def __str__(self) -> str:
        return prefix_of(self.context) + self.name


def prefix_of(context: str) -> str:
    """What the names of its subjects begin with."""
    return "" if context == DEFAULT_CONTEXT else f":{context}:"


def parse_subject(text: str) -> Subject:
    if not text.startswith(":."):
        return Subject(DEFAULT_CONTEXT, text)
    context, _, name = text[1:].partition(":")
    return Subject(context, name)


def context_of(subject: str) -> str:
    return parse_subject(subject).context


def normalised(subject: str) -> str:
    """One name for `:.:orders` and `orders`, and for `:.c` and `:.c:`."""
    return str(parse_subject(subject)) if subject.startswith(":.") else subject


def normalised_context(text: str) -> str:
    """The context of `c`, `.c` or `:.c:`; ValueError for a colon within."""
    context = text.removeprefix(":").removesuffix(":")
    if ":" in context:
        raise ValueError(f"Context name '{context}' cannot contain a colon")
    return context if context.startswith(".") else f".{context}"


def beside(subject: str, other: str) -> str:
    """`other` as `subject` means it: in the same context, where it does not name another."""
    if other.startswith(":."):
        return normalised(other)
    return prefix_of(context_of(subject)) + other


def is_in(subject: str, scope: str | None) -> bool:
    """Whether `scope` is the subject itself, the context it is in, or everything (None, the global one)."""
    if scope is None or subject == scope:
        return True
    context, name = parse_subject(scope)
    return not name and context in (GLOBAL_CONTEXT, context_of(subject))


def check_subject(subject: str, max_length: int, *, of_config: bool = False) -> None:
    """RegistryError for what can be no subject. Config and mode are also those of contexts."""
    context, name = parse_subject(subject)
    if (
        len(subject) > max_length
        or not all(_is_text(letter) for letter in subject)
        or name in _RESERVED
        or (context == GLOBAL_CONTEXT and not of_config)
    ):
        raise invalid_subject(subject[:max_length])


def _is_text(letter: str) -> bool:
    return letter >= " " and not "\x7f" <= letter <= "\x9f" and not "\ud800" <= letter <= "\udfff"


def context_not_empty(context: str) -> RegistryError:
    return RegistryError(42211, f"The specified context '{context}' is not empty.")
