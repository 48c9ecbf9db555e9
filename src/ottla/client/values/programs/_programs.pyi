# The compiled twin of `plain`, from `native/`: what it offers has the same types.

from typing import Final

from ottla.client.values.programs.plain import Program as Program
from ottla.client.values.programs.plain import decode as decode
from ottla.client.values.programs.plain import ids as ids

NAME: Final[str]
