"""What stands in a dump of callgrind: instructions, and calls of the allocator."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_ALLOCATORS = {"malloc", "calloc", "realloc", "aligned_alloc", "memalign", "posix_memalign"}
_FUNCTION = re.compile(r"^(c?)fn=\((\d+)\)(?: (.*))?$")
_POSITIONS = frozenset("0123456789+-*")


@dataclass(frozen=True)
class Counts:
    """What was counted between two dumps; ``by_function`` without what a function calls."""

    instructions: int
    allocations: int
    by_function: Counter[str]

    def __sub__(self, other: Counts) -> Counts:
        by_function = self.by_function.copy()
        by_function.subtract(other.by_function)
        return Counts(
            self.instructions - other.instructions,
            self.allocations - other.allocations,
            by_function,
        )


def read(file: Path) -> Counts:
    """Read a dump.

    Allocations are calls of the system's allocator. Small Python objects do not show: CPython
    takes them from memory of its own.
    """
    names: dict[str, str] = {}
    by_function: Counter[str] = Counter()
    function = called = ""
    instructions = allocations = 0
    inclusive = False
    with file.open() as lines:
        for line in lines:
            # Most lines: a position and what was spent there.
            if line[0] in _POSITIONS:
                # The line behind "calls=" has what the callee spent; it is counted there.
                if not inclusive:
                    by_function[function] += int(line.split()[1])
                inclusive = False
            elif found := _FUNCTION.match(line.rstrip("\n")):
                # A name is written out once and then named by its number.
                names.setdefault(found[2], found[3] or "")
                if found[1]:
                    called = names[found[2]]
                else:
                    function = names[found[2]]
            elif line.startswith("calls="):
                inclusive = True
                if called in _ALLOCATORS:
                    allocations += int(line[6:].split()[0])
            elif line.startswith("totals: "):
                instructions = int(line[8:])
    if not instructions:
        raise ValueError(f"{file} has no totals")
    return Counts(instructions, allocations, by_function)
