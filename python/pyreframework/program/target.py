"""What the command line names: a file or a module, and which app of it.

app.py            the one app of the file
app.py:admin      this app of the file
package.app       the one app of the module
package.app:app   this app of the module, or the function that makes it
"""

from __future__ import annotations

import os
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


class TargetError(Exception):
    """What was named cannot be found; the text says what, and what there is instead."""


@dataclass(frozen=True, slots=True)
class Target:
    """A file or a module, and the attribute that was named, if one was."""

    source: str
    attribute: str | None

    @property
    def is_file(self) -> bool:
        """Whether the source is a path."""
        return self.source.endswith(".py") or os.sep in self.source or os.path.isfile(self.source)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``module``, ``module:attribute``, ``file.py`` or ``file.py:attribute``.

        Raises:
            TargetError: It is none of these.

        Example:
            >>> Target.parse("package.app:app")
            Target(source='package.app', attribute='app')
        """
        source, colon, attribute = text.rpartition(":")
        if not colon:
            source, attribute = text, ""
        names = attribute.split(".") if colon else []
        if not source or not all(name.isidentifier() for name in names):
            raise TargetError(f"{text!r} is not of the form module:app, file.py or file.py:app")
        target = cls(source, attribute or None)
        if not target.is_file and not all(name.isidentifier() for name in source.split(".")):
            raise TargetError(f"{source!r} is neither a file nor the name of a module")
        return target

    def check(self) -> None:
        """See that the file is there, if it is one.

        Raises:
            TargetError: It is not.
        """
        if self.is_file and not os.path.isfile(self.source):
            raise TargetError(f"there is no file {self.source!r} in {os.getcwd()}")

    def __str__(self) -> str:
        return self.source if self.attribute is None else f"{self.source}:{self.attribute}"
