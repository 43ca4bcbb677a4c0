"""What must not be, counted by those who send."""

from __future__ import annotations

from dataclasses import dataclass, field

TEXTS_MAX = 20


@dataclass
class Faults:
    """How many there were, and the first of them in words."""

    faults: int = 0
    wrong: list[str] = field(default_factory=list)
    """The first faults in words."""

    def fault(self, text: str) -> None:
        """Note something that must not be."""
        self.faults += 1
        if len(self.wrong) < TEXTS_MAX:
            self.wrong.append(text)

    def add_faults(self, other: Faults) -> None:
        """Add what somebody else has noted."""
        self.faults += other.faults
        self.wrong = [*self.wrong, *other.wrong][:TEXTS_MAX]
