"""Building Python functions from source text, as `dataclasses` does for its methods."""

from __future__ import annotations

from typing import Any


class Source:
    """Lines of a module to be, and the constants that they name."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}
        self._lines: list[str] = []

    def add(self, depth: int, *lines: str) -> None:
        """Append lines at an indentation depth."""
        self._lines.extend("    " * depth + line for line in lines)

    def constant(self, prefix: str, value: object) -> str:
        """The name under which the source finds `value`."""
        name = f"{prefix}_{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def compile(self, function: str, filename: str) -> Any:
        """Run the source and give back one of its functions. All names in it come from schemas, none from a
        client.
        """
        code = compile("\n".join(self._lines), f"<ottla {filename}>", "exec")
        exec(code, self.namespace)  # noqa: S102
        return self.namespace[function]
