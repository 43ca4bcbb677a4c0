"""What stands in a dump of callgrind: instructions, and calls of the allocator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ALLOCATORS = {"malloc", "calloc", "realloc", "aligned_alloc", "memalign", "posix_memalign"}
_FUNCTION = re.compile(r"^c?fn=\((\d+)\)(?: (.*))?$")


@dataclass(frozen=True)
class Counts:
    """What was counted between two dumps."""

    instructions: int
    allocations: int

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.instructions - other.instructions, self.allocations - other.allocations)


def read(file: Path) -> Counts:
    """Read a dump.

    Allocations are calls of the system's allocator. Small Python objects do not show: CPython
    takes them from memory of its own.
    """
    names: dict[str, str] = {}
    called = ""
    instructions = allocations = 0
    with file.open() as lines:
        for line in lines:
            # A name is written out once and then named by its number.
            if found := _FUNCTION.match(line.rstrip("\n")):
                if found[2]:
                    names[found[1]] = found[2]
                called = names.get(found[1], "") if line.startswith("c") else ""
            elif line.startswith("calls="):
                if called in _ALLOCATORS:
                    allocations += int(line[6:].split()[0])
            elif line.startswith("totals: "):
                instructions = int(line[8:])
    if not instructions:
        raise ValueError(f"{file} has no totals")
    return Counts(instructions, allocations)
